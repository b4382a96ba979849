def test_a_request_is_put_and_claimed(board, alice):
    request = board.put_one(alice)
    assert board.claim_one().request_id == request
    assert board.events(request) == ["request-queued", "request-started"]
