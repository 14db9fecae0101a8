/* Fails chosen syncs of a process: LD_PRELOAD this, FAIL_SYNCS=",3,7," numbers the calls of fsync and fdatasync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_int calls;

static int is_to_fail(void) {
    const char *chosen = getenv("FAIL_SYNCS");
    char number[16];
    snprintf(number, sizeof number, ",%d,", atomic_fetch_add(&calls, 1) + 1);
    return chosen != NULL && strstr(chosen, number) != NULL;
}

static int sync_or_fail(const char *name, int descriptor) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (is_to_fail()) {
        errno = EIO;
        return -1;
    }
    return real(descriptor);
}

int fsync(int descriptor) { return sync_or_fail("fsync", descriptor); }

int fdatasync(int descriptor) { return sync_or_fail("fdatasync", descriptor); }
