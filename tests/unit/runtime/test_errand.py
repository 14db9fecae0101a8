from onstage.runtime.errand import Want, decode_want, encode_want, number_of


def test_a_want_is_read_as_it_was_written() -> None:
    want = Want("a" * 32, "shop", b"hash")
    assert decode_want(encode_want(want)) == want


def test_numbers_fit_a_store_and_differ() -> None:
    numbers = {number_of(f"request {n}") for n in range(1000)}
    assert len(numbers) == 1000
    assert all(0 <= number < 1 << 63 for number in numbers)
