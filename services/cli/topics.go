package cli

import "github.com/spf13/cobra"

// topics are pages of help that belong to no command.
func topics() []*cobra.Command {
	return []*cobra.Command{
		feedTopic(),
		{
			Use:   "exit-status",
			Short: "What the exit status says",
			Long: `0  done
1  failed: tried and not achieved (an audit that does not agree, a job that was canceled, a fault of Drover's)
2  usage: the command line was not understood; nothing was tried
3  refused: understood and not granted; nothing was changed
4  unavailable: nobody answers, or too much waits there; nothing was changed, ask again
5  outcome unknown: it may or may not have been done. The error names a command id; the same command with
   --command-id and that id returns the outcome if it was done, and does it if it was not.

An error is one line on stderr: drover: FIELD: what is wrong and what would be right (CODE).`,
		},
		{
			Use:   "output",
			Short: "What --output json looks like",
			Long: `A command prints one JSON document; what follows or watches prints one a line. Fields are added, never renamed.
Names are AWS's where AWS has one. Times are RFC 3339 in UTC with milliseconds; what is not there is left out.

job               jobId job status targetSelection targets[] description jobExecutionsRolloutConfig{} timeoutConfig{}
                  abortConfig{} jobExecutionsRetryConfig{} schedulingConfig{} presignedUrlConfig{} namespaceId
                  jobTemplateArn documentParameters{} destinationPackageVersions[] tags[{Key,Value}] forceCanceled
                  reasonCode comment createdAt lastUpdatedAt completedAt isConcurrent windowOpen windowChangesAt
                  endReached scheduledJobRollouts[{startTime}] abortBound document jobProcessDetails{}; job is the
                  number that stays its own when the id is used again; configurations are as AWS writes them
jobProcessDetails numberOf{Queued,InProgress,Succeeded,Failed,Rejected,TimedOut,Canceled,Removed}Things count
                  executions, as AWS does; selected selectionFinished waiting released dropped refused open good
                  harmed void deleted count things; firstChangeAt lastChangeAt
execution         jobId job thingName executionNumber retryAttempt status statusDetails{} versionNumber forceCanceled
                  queuedAt startedAt lastUpdatedAt deadline
thing             thingName thing thingTypeName attributes{} version createdAt groups[]
group             thingGroupName group parentGroupName thingGroupDescription createdAt members children[] attributes{}
                  version rootToParentThingGroups[]; with --tree groups[] below it
thing type        thingTypeName thingTypeDescription searchableAttributes[] creationDate deprecated deprecationDate
template          jobTemplateId description document createdAt tags[] maintenanceWindows[], and configurations as of a job;
                  managed: templateName templateVersion description environments[] documentParameters[] document
event-config      eventConfigurations{CATEGORY{Enabled}} lastModifiedDate
explain           jobId thingName status text story[{at until position last jobId text}] now[{jobId code text until}]; until
                  and last are of the last event where a sentence sums up several
event             position at type jobId cause{command|position|timer} reason{code,numbers,text} data{} text; with events --follow
                  feed, its number there
lists             {"jobs":[…]}, {"executions":[…]}, {"things":[…]}, {"groups":[…]}, {"logs":[…]}, {"messages":[…]},
                  {"thingTypes":[…]}, {"jobTemplates":[…]}, {"managedJobTemplates":[…]}, {"tags":[…]}
durable command   number commandId; outcome: commandId operation at reply{} or refusal{code,field,message}; in the poison queue:
                  number at subject commandId contentType reason body or bodyBase64
secrets create    dir files[{file made for}]; secrets renew: dir until
changes           position of the last event; with it jobId and job and abortBound, or created and existing, deleted, joined,
                  left, version
partitions        partitions[{log owner since epoch takeovers end leaseAgeMs members[{member state folded lag behind preferred}]}]
                  members[{name roles[] version startedAt seenMsAgo waitingFor[]}]
audit job         jobId job status selected released executions counts{} transitions firstAt lastAt transitionsPerSecond
                  versionGaps ended endedTwice journal{} expectations[] violations[{rule,at,what}]`,
		},
	}
}
