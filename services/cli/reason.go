package cli

import v1 "github.com/droverhq/drover/proto/drover/v1"

// sentence says a reason in words; empty if there is none.
func sentence(r *v1.Reason) string { return r.Sentence() }
