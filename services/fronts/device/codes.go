package device

import v1 "github.com/droverhq/drover/proto/drover/v1"

// codes is the one table from refusals to the codes of the device protocol (specification §3.5). Devices try
// RequestThrottled and InternalError again, and nothing else.
var codes = map[v1.RefusalCode]string{
	v1.RefusalCode_REFUSAL_CODE_UNSPECIFIED:              "InternalError",
	v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST:          "InvalidRequest",
	v1.RefusalCode_REFUSAL_CODE_NOT_FOUND:                "ResourceNotFound",
	v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS:           "InvalidRequest",
	v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH:         "VersionMismatch",
	v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION: "InvalidStateTransition",
	v1.RefusalCode_REFUSAL_CODE_TERMINAL_STATE:           "TerminalStateReached",
	v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED:           "InvalidRequest",
	v1.RefusalCode_REFUSAL_CODE_THROTTLED:                "RequestThrottled",
	v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE:              "InternalError",
	v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN:          "InternalError",
	v1.RefusalCode_REFUSAL_CODE_INTERNAL:                 "InternalError",
	v1.RefusalCode_REFUSAL_CODE_UNAUTHORIZED:             "InvalidRequest",
	v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED:            "InvalidRequest",
	v1.RefusalCode_REFUSAL_CODE_INVALID_JSON:             "InvalidJson",
	v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC:            "InvalidTopic",
}
