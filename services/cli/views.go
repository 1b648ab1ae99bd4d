package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// The views are what --output json shows: AWS's names where AWS has one, times in RFC 3339 (UTC, milliseconds), absent
// where there is nothing. Fields are added, never renamed. `drover help output` lists them.

type jobView struct {
	JobID           string                   `json:"jobId"`
	Job             uint64                   `json:"job"` // the job number; an id may be used again, a number never
	Status          string                   `json:"status"`
	TargetSelection string                   `json:"targetSelection,omitempty"`
	Targets         []string                 `json:"targets,omitempty"` // not in lists
	Description     string                   `json:"description,omitempty"`
	Rollout         *body.RolloutConfig      `json:"jobExecutionsRolloutConfig,omitempty"`
	Timeout         *body.TimeoutConfig      `json:"timeoutConfig,omitempty"`
	Abort           *body.AbortConfig        `json:"abortConfig,omitempty"`
	Retry           *body.RetryConfig        `json:"jobExecutionsRetryConfig,omitempty"`
	Scheduling      *body.SchedulingConfig   `json:"schedulingConfig,omitempty"`
	Presigned       *body.PresignedURLConfig `json:"presignedUrlConfig,omitempty"`
	Namespace       string                   `json:"namespaceId,omitempty"`
	Template        string                   `json:"jobTemplateArn,omitempty"`
	Parameters      map[string]string        `json:"documentParameters,omitempty"`
	Packages        []string                 `json:"destinationPackageVersions,omitempty"`
	Tags            []tagView                `json:"tags,omitempty"`
	ForceCanceled   bool                     `json:"forceCanceled"`
	ReasonCode      string                   `json:"reasonCode,omitempty"`
	Comment         string                   `json:"comment,omitempty"`
	CreatedAt       string                   `json:"createdAt"`
	LastUpdatedAt   string                   `json:"lastUpdatedAt,omitempty"`
	CompletedAt     string                   `json:"completedAt,omitempty"`
	IsConcurrent    bool                     `json:"isConcurrent"`
	WindowOpen      *bool                    `json:"windowOpen,omitempty"` // of a job with windows
	WindowChangesAt string                   `json:"windowChangesAt,omitempty"`
	EndReached      bool                     `json:"endReached,omitempty"`
	Rollouts        []startView              `json:"scheduledJobRollouts,omitempty"` // the next starts of its windows
	AbortBound      uint64                   `json:"abortBound,omitempty"`
	Document        string                   `json:"document,omitempty"`
	Counts          *countsView              `json:"jobProcessDetails,omitempty"`
}

type startView struct {
	StartTime string `json:"startTime"`
}

// countsView has AWS's jobProcessDetails, which count executions, and what Drover adds, which counts things.
type countsView struct {
	Queued     int64 `json:"numberOfQueuedThings"`
	InProgress int64 `json:"numberOfInProgressThings"`
	Succeeded  int64 `json:"numberOfSucceededThings"`
	Failed     int64 `json:"numberOfFailedThings"`
	Rejected   int64 `json:"numberOfRejectedThings"`
	TimedOut   int64 `json:"numberOfTimedOutThings"`
	Canceled   int64 `json:"numberOfCanceledThings"`
	Removed    int64 `json:"numberOfRemovedThings"`

	Selected          uint64 `json:"selected"`
	SelectionFinished bool   `json:"selectionFinished"`
	Waiting           uint64 `json:"waiting"`
	Released          uint64 `json:"released"`
	Dropped           uint64 `json:"dropped"`
	Refused           uint64 `json:"refused"`
	Open              int64  `json:"open"`
	Good              int64  `json:"good"`
	Harmed            int64  `json:"harmed"`
	Void              int64  `json:"void"`
	Deleted           uint64 `json:"deleted,omitempty"`
	FirstChangeAt     string `json:"firstChangeAt,omitempty"`
	LastChangeAt      string `json:"lastChangeAt,omitempty"`
}

type executionView struct {
	JobID           string            `json:"jobId"`
	Job             uint64            `json:"job"`
	ThingName       string            `json:"thingName"`
	ExecutionNumber uint64            `json:"executionNumber"`
	RetryAttempt    uint32            `json:"retryAttempt"`
	Status          string            `json:"status"`
	StatusDetails   map[string]string `json:"statusDetails"`
	VersionNumber   uint64            `json:"versionNumber"`
	ForceCanceled   bool              `json:"forceCanceled"`
	QueuedAt        string            `json:"queuedAt"`
	StartedAt       string            `json:"startedAt,omitempty"`
	LastUpdatedAt   string            `json:"lastUpdatedAt"`
	Deadline        string            `json:"deadline,omitempty"`
}

type thingView struct {
	ThingName     string            `json:"thingName"`
	Thing         uint64            `json:"thing"` // the thing number
	ThingTypeName string            `json:"thingTypeName,omitempty"`
	Attributes    map[string]string `json:"attributes"`
	Version       uint64            `json:"version"`
	CreatedAt     string            `json:"createdAt"`
	Groups        []string          `json:"groups,omitempty"` // direct ones; describe only
}

type groupView struct {
	GroupName   string            `json:"thingGroupName"`
	Group       uint64            `json:"group"` // the group number
	Parent      string            `json:"parentGroupName,omitempty"`
	Description string            `json:"thingGroupDescription,omitempty"`
	CreatedAt   string            `json:"createdAt"`
	Members     *uint64           `json:"members,omitempty"` // direct ones; describe only
	Children    []string          `json:"children,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
	Version     uint64            `json:"version,omitempty"`
	Ancestors   []string          `json:"rootToParentThingGroups,omitempty"` // describe only
}

// doneView is what a command that changes something prints: where its events stand.
type doneView struct {
	Position string `json:"position,omitempty"`
	JobID    string `json:"jobId,omitempty"`
	Job      uint64 `json:"job,omitempty"`
	// AbortBound is how many things can be released after the report that crosses an abort criterion.
	AbortBound uint64  `json:"abortBound,omitempty"`
	Version    uint64  `json:"version,omitempty"`
	Created    *uint64 `json:"created,omitempty"`
	Existing   *uint64 `json:"existing,omitempty"`
	Deleted    *uint64 `json:"deleted,omitempty"`
	Joined     *uint64 `json:"joined,omitempty"`
	Left       *uint64 `json:"left,omitempty"`
}

func viewJob(j *v1.JobRow, c *v1.JobCounts) jobView {
	v := jobView{
		JobID: j.GetJobId(), Job: j.GetJob(), Status: v1.EnumName(j.GetStatus()), Targets: targetNames(j.GetTargets()),
		Description: j.GetDescription(), ForceCanceled: j.GetForceCanceled(), ReasonCode: j.GetReasonCode(), Comment: j.GetComment(),
		CreatedAt: moment(j.GetCreatedAtMs()), LastUpdatedAt: moment(j.GetLastUpdatedAtMs()), CompletedAt: moment(j.GetCompletedAtMs()),
		IsConcurrent: j.GetIsConcurrent(), Document: string(j.GetDocument()),
	}
	if j.GetTargetSelection() != 0 {
		v.TargetSelection = v1.EnumName(j.GetTargetSelection())
	}
	v.Rollout, v.Timeout, v.Abort, v.Retry = body.ShowRollout(j.GetRollout()), body.ShowTimeout(j.GetTimeout()), body.ShowAbort(j.GetAbort()), body.ShowRetry(j.GetRetry())
	v.Scheduling, v.Presigned, v.AbortBound = body.ShowScheduling(j.GetScheduling()), body.ShowPresignedURL(j.GetPresignedUrl()), abortBound(j.GetAbort(), j.GetRollout())
	v.Namespace, v.Template, v.Packages, v.Tags = j.GetNamespaceId(), j.GetJobTemplateArn(), j.GetDestinationPackageVersions(), viewTags(j.GetTags())
	for _, p := range j.GetDocumentParameters() {
		if v.Parameters == nil {
			v.Parameters = map[string]string{}
		}
		v.Parameters[p.GetKey()] = p.GetValue()
	}
	if len(j.GetScheduling().GetWindows()) > 0 {
		open := j.GetWindowOpen()
		v.WindowOpen, v.WindowChangesAt = &open, moment(j.GetWindowChangesAtMs())
	}
	v.EndReached = j.GetEndReached()
	for _, ms := range j.GetNextWindowsMs() {
		v.Rollouts = append(v.Rollouts, startView{moment(ms)})
	}
	if c != nil {
		v.Counts = viewCounts(c)
	}
	return v
}

func viewCounts(c *v1.JobCounts) *countsView {
	n := statusCounts(c.GetAttempts())
	return &countsView{
		Queued: n[v1.ExecutionStatus_EXECUTION_STATUS_QUEUED], InProgress: n[v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS],
		Succeeded: n[v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED], Failed: n[v1.ExecutionStatus_EXECUTION_STATUS_FAILED],
		Rejected: n[v1.ExecutionStatus_EXECUTION_STATUS_REJECTED], TimedOut: n[v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT],
		Canceled: n[v1.ExecutionStatus_EXECUTION_STATUS_CANCELED], Removed: n[v1.ExecutionStatus_EXECUTION_STATUS_REMOVED],
		Selected: c.GetSelected(), SelectionFinished: c.GetSelectionFinished(), Waiting: c.GetWaiting(), Released: c.GetReleased(),
		Dropped: c.GetDropped(), Refused: c.GetRefused(), Open: c.GetOpen(), Good: c.GetGood(), Harmed: c.GetHarmed(), Void: c.GetVoid(), Deleted: c.GetDeleted(),
		FirstChangeAt: moment(c.GetFirstChangeMs()), LastChangeAt: moment(c.GetLastChangeMs()),
	}
}

// statusCounts sums counts by status.
func statusCounts(list []*v1.StatusCount) map[v1.ExecutionStatus]int64 {
	n := map[v1.ExecutionStatus]int64{}
	for _, c := range list {
		n[c.GetStatus()] += c.GetCount()
	}
	return n
}

func viewExecution(x *v1.ExecutionRow) executionView {
	v := executionView{
		JobID: x.GetJobId(), Job: x.GetJob(), ThingName: x.GetThing(), ExecutionNumber: x.GetExecutionNumber(), RetryAttempt: x.GetRetryAttempt(),
		Status: v1.EnumName(x.GetStatus()), StatusDetails: map[string]string{}, VersionNumber: x.GetVersionNumber(), ForceCanceled: x.GetForceCanceled(),
		QueuedAt: moment(x.GetQueuedAtMs()), StartedAt: moment(x.GetStartedAtMs()), LastUpdatedAt: moment(x.GetLastUpdatedAtMs()),
		Deadline: moment(x.GetDeadlineMs()),
	}
	for _, d := range x.GetStatusDetails() {
		v.StatusDetails[d.GetName()] = d.GetValue()
	}
	return v
}

func viewThing(t *v1.ThingRow) thingView {
	v := thingView{
		ThingName: t.GetName(), Thing: t.GetNumber(), ThingTypeName: t.GetThingType(), Attributes: map[string]string{},
		Version: t.GetVersion(), CreatedAt: moment(t.GetCreatedAtMs()), Groups: t.GetGroups(),
	}
	for _, at := range t.GetAttributes() {
		v.Attributes[at.GetName()] = at.GetValue()
	}
	return v
}

func viewGroup(g *v1.GroupRow) groupView {
	v := groupView{
		GroupName: g.GetGroup(), Group: g.GetNumber(), Parent: g.GetParent(), Description: g.GetDescription(),
		CreatedAt: moment(g.GetCreatedAtMs()), Children: g.GetChildren(), Version: g.GetVersion(), Ancestors: g.GetAncestors(),
	}
	for _, at := range g.GetAttributes() {
		if v.Attributes == nil {
			v.Attributes = map[string]string{}
		}
		v.Attributes[at.GetName()] = at.GetValue()
	}
	return v
}

func targetNames(targets []*v1.Target) []string {
	names := make([]string, 0, len(targets))
	for _, t := range targets {
		names = append(names, id.FormatTarget(t))
	}
	return names
}

// pairs writes attributes and details: a=1 b="two words". A device may report what its scripts printed: as it stands, a
// line end would tear the table, and an escape sequence would reach the reader's terminal.
func pairs[P interface {
	GetName() string
	GetValue() string
}](list []P) string {
	var out []string
	for _, p := range list {
		value := p.GetValue()
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r == ' ' || r == '"' || !unicode.IsPrint(r) }) {
			value = strconv.Quote(value)
		}
		out = append(out, p.GetName()+"="+value)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// orDash shows an empty cell of a table.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func countLine(c *countsView) string {
	return fmt.Sprintf("queued %d, in progress %d, succeeded %d, failed %d, rejected %d, timed out %d, canceled %d, removed %d",
		c.Queued, c.InProgress, c.Succeeded, c.Failed, c.Rejected, c.TimedOut, c.Canceled, c.Removed)
}
