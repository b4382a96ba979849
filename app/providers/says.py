"""What a status means where a provider's own codes say nothing, and what each kind of failure says to a client."""

from app.domain.failure import FailureKind

BY_STATUS = {
    400: FailureKind.BAD_REQUEST,
    401: FailureKind.AUTH_FAILED,
    402: FailureKind.QUOTA_EXHAUSTED,
    403: FailureKind.PERMISSION_DENIED,
    404: FailureKind.PROTOCOL,
    408: FailureKind.UNAVAILABLE,
    410: FailureKind.MODEL_RETIRED,
    413: FailureKind.BAD_REQUEST,
    415: FailureKind.BAD_REQUEST,
    422: FailureKind.BAD_REQUEST,
    429: FailureKind.RATE_LIMITED,
}
# The same where the answer is a page for people instead of the provider's own.
BY_PAGE = {
    401: FailureKind.AUTH_FAILED,
    403: FailureKind.UNAVAILABLE,
    408: FailureKind.UNAVAILABLE,
    413: FailureKind.BAD_REQUEST,
    429: FailureKind.UNAVAILABLE,
}
SAYS = {
    FailureKind.BAD_REQUEST: "{} refused the request as malformed.",
    FailureKind.UNSUPPORTED: "{} can't make this.",
    FailureKind.POLICY_INPUT: "{} refused the prompt: it breaks the provider's content policy.",
    FailureKind.POLICY_OUTPUT: "{} withheld the picture: what it drew breaks its content policy.",
    FailureKind.AUTH_FAILED: "{} does not accept the key.",
    FailureKind.PERMISSION_DENIED: "{} does not allow this with the key that is configured.",
    FailureKind.QUOTA_EXHAUSTED: "The credit or quota at {} is used up.",
    FailureKind.RATE_LIMITED: "{} asks to slow down.",
    FailureKind.QUEUE_FULL: "The queue at {} is full.",
    FailureKind.UNAVAILABLE: "{} is out of order.",
    FailureKind.CONNECT_FAILED: "{} can't be reached.",
    FailureKind.SUBMIT_UNKNOWN: "{} was asked and never answered; the work may have been done and charged.",
    FailureKind.JOB_FAILED: "{} could not do the work.",
    FailureKind.JOB_LOST: "{} no longer knows the work that it took.",
    FailureKind.RESULT_EXPIRED: "{} no longer has the result.",
    FailureKind.RESULT_FETCH: "The result could not be fetched from {}.",
    FailureKind.BAD_RESULT: "{} answered with something that is not a usable result.",
    FailureKind.MODEL_RETIRED: "{} no longer has the model that is configured.",
    FailureKind.PROTOCOL: "{} answered in a way that is not understood.",
    FailureKind.DEADLINE: "{} did not finish in the time an attempt may take.",
}
