package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

const (
	// bulk is how many things one command names, bulkInFlight how many commands are under way.
	bulk         = 1000
	bulkInFlight = 8
)

// names are n things of a prefix.
func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%06d", prefix, i)
	}
	return list
}

// register creates things and puts them into a new group.
func register(ctx context.Context, c *bus.Client, group string, things []string) error {
	if _, err := again(ctx, func() (*v1.CreateGroupReply, error) {
		return bus.CreateGroup.Call(ctx, c, &v1.CreateGroup{Group: group})
	}); err != nil {
		return err
	}
	if err := inBulk(ctx, things, func(ctx context.Context, part []string) error {
		q := &v1.CreateThings{}
		for _, name := range part {
			q.Things = append(q.Things, &v1.NewThing{Name: name})
		}
		_, err := again(ctx, func() (*v1.CreateThingsReply, error) { return bus.CreateThings.Call(ctx, c, q) })
		return err
	}); err != nil {
		return err
	}
	return inBulk(ctx, things, func(ctx context.Context, part []string) error {
		q := &v1.AddThings{Group: group, Things: part}
		_, err := again(ctx, func() (*v1.AddThingsReply, error) { return bus.AddThings.Call(ctx, c, q) })
		return err
	})
}

// inBulk hands parts of a list to do, several at once, and returns the first error.
func inBulk(ctx context.Context, list []string, do func(context.Context, []string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, bulkInFlight)
	var all sync.WaitGroup
	for len(list) > 0 && ctx.Err() == nil {
		part := list[:min(bulk, len(list))]
		list = list[len(part):]
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := do(ctx, part); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// again repeats a command that was not decided, or may not have been: the ones used here may be repeated.
func again[R any](ctx context.Context, call func() (R, error)) (R, error) {
	for {
		reply, err := call()
		var refusal *v1.Refusal
		if err == nil || !errors.As(err, &refusal) {
			return reply, err
		}
		switch refusal.Code {
		case v1.RefusalCode_REFUSAL_CODE_THROTTLED, v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE, v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN:
		default:
			return reply, err
		}
		select {
		case <-ctx.Done():
			return reply, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// createJob queues a job for a target, with a document of some 100 bytes.
func createJob(ctx context.Context, c *bus.Client, job string, target *v1.Target) error {
	_, err := bus.CreateJob.Call(ctx, c, &v1.CreateJob{
		JobId: job, Targets: []*v1.Target{target}, TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
		Document: []byte(`{"operation":"install","version":"2.4.0","url":"https://example.com/firmware/press/2.4.0/image.bin"}`),
	})
	return err
}

func group(name string) *v1.Target {
	return &v1.Target{Target: &v1.Target_Group{Group: name}}
}

func thing(name string) *v1.Target {
	return &v1.Target{Target: &v1.Target_Thing{Thing: name}}
}

// queued waits until the read models show n executions of a job as queued.
func queued(ctx context.Context, c *bus.Client, job string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	seen := uint64(0)
	for {
		reply, err := bus.DescribeJob.Call(ctx, c, &v1.DescribeJob{JobId: job})
		if err == nil {
			for _, count := range reply.GetCounts().GetAttempts() {
				if count.GetStatus() == v1.ExecutionStatus_EXECUTION_STATUS_QUEUED {
					if seen = uint64(count.GetCount()); seen >= uint64(n) {
						return nil
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("job %s: %d of %d executions are queued: %w (last answer: %v)", job, seen, n, ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
