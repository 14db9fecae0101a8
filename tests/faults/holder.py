"""Holds a write transaction on the store at argv[1] until its input is closed: another program on the same file."""

import sys

import apsw


def main(path: str) -> None:
    connection = apsw.Connection(path)
    connection.execute("BEGIN IMMEDIATE")
    print("held", flush=True)
    sys.stdin.read()
    connection.execute("ROLLBACK")
    connection.close()
    print("free", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
