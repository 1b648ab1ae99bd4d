package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// Completion asks a running system for names, briefly; without one it offers nothing.

func (a *app) completeJobs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	r, _ := ask(ctx, a, bus.ListJobs, &v1.ListJobs{})
	var names []string
	for _, j := range r.GetJobs() {
		names = append(names, j.GetJobId())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeThings(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	r, _ := ask(ctx, a, bus.ListThings, &v1.ListThings{Prefix: typed})
	var names []string
	for _, t := range r.GetThings() {
		names = append(names, t.GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeGroups(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	r, _ := ask(ctx, a, bus.ListGroups, &v1.ListGroups{Prefix: typed})
	var names []string
	for _, g := range r.GetGroups() {
		names = append(names, g.GetGroup())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeThingTypes(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	r, _ := ask(ctx, a, bus.ListThingTypes, &v1.ListThingTypes{})
	var names []string
	for _, t := range r.GetThingTypes() {
		names = append(names, t.GetThingType())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeTemplates(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	r, _ := ask(ctx, a, bus.ListTemplates, &v1.ListTemplates{})
	var names []string
	for _, t := range r.GetTemplates() {
		names = append(names, t.GetTemplate().GetTemplateId())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeExecution offers a job, then a thing.
func (a *app) completeExecution(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return a.completeThings(cmd, nil, typed)
	}
	return a.completeJobs(cmd, args, typed)
}

// statusFlag adds --status with the values of an enum.
func statusFlag(cmd *cobra.Command, status *string, of protoreflect.EnumDescriptor) {
	cmd.Flags().StringVar(status, "status", "", "only those in this status, as in "+statusNames(of)[0])
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statusNames(of), cobra.ShellCompDirectiveNoFileComp))
}
