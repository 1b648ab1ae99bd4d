package sdktest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	awsv1 "github.com/aws/aws-sdk-go/aws"
	iotv1 "github.com/aws/aws-sdk-go/service/iot"
	datav1 "github.com/aws/aws-sdk-go/service/iotjobsdataplane"

	iotv2 "github.com/aws/aws-sdk-go-v2/service/iot"
)

// BenchmarkHTTP measures signed requests of the SDKs against a system on the same machine: requests a second, and how
// much of a core the whole system, broker included, takes for one.
func BenchmarkHTTP(b *testing.B) {
	s := shared(b, plain)
	v2, device := s.iotV2(), s.dataV1()
	const clients = 32
	targets := make([]string, clients)
	for i := range targets {
		out, err := v2.CreateThing(b.Context(), &iotv2.CreateThingInput{ThingName: thing(i)})
		if err != nil {
			b.Fatal(err)
		}
		targets[i] = *out.ThingArn
	}
	job := awsv1.String("bench")
	if _, err := v2.CreateJob(b.Context(), &iotv2.CreateJobInput{JobId: job, Targets: targets, Document: awsv1.String("{}")}); err != nil &&
		refusalOf(err).name != exists {
		b.Fatal(err)
	}
	for i := range clients {
		for {
			out, err := device.StartNextPendingJobExecution(&datav1.StartNextPendingJobExecutionInput{ThingName: thing(i)})
			if err != nil {
				b.Fatal(err)
			}
			if out.Execution != nil {
				break
			}
		}
	}
	var names atomic.Int64
	inProgress := awsv1.String(datav1.JobExecutionStatusInProgress)
	for _, c := range []struct {
		name string
		call func(client int) error
	}{
		{"CreateThing/v2", func(int) error {
			_, err := v2.CreateThing(b.Context(), &iotv2.CreateThingInput{ThingName: awsv1.String(fmt.Sprintf("new-%d", names.Add(1)))})
			return err
		}},
		{"DescribeJobExecution/control/v2", func(i int) error {
			_, err := v2.DescribeJobExecution(b.Context(), &iotv2.DescribeJobExecutionInput{ThingName: thing(i), JobId: job})
			return err
		}},
		{"DescribeJobExecution/control/v1", func() func(int) error {
			v1 := s.iotV1()
			return func(i int) error {
				_, err := v1.DescribeJobExecution(&iotv1.DescribeJobExecutionInput{ThingName: thing(i), JobId: job})
				return err
			}
		}()},
		{"DescribeJobExecution/data/v1", func(i int) error {
			_, err := device.DescribeJobExecution(&datav1.DescribeJobExecutionInput{ThingName: thing(i), JobId: job})
			return err
		}},
		{"UpdateJobExecution/data/v1", func(i int) error {
			_, err := device.UpdateJobExecution(&datav1.UpdateJobExecutionInput{ThingName: thing(i), JobId: job, Status: inProgress})
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := s.cpu(b)
			var next atomic.Int64
			b.ResetTimer()
			atOnce(clients, func(i int) {
				for next.Add(1) <= int64(b.N) {
					if err := c.call(i); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
			b.ReportMetric((s.cpu(b)-before)/float64(b.N)*1e6, "server-cpu-µs/req")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func thing(i int) *string { return awsv1.String(fmt.Sprintf("bench-%d", i)) }

// cpu is the time, in seconds, that the system's process has had on a core.
func (s *system) cpu(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name of the program, in parentheses, is the second field; utime and stime are the 14th and the 15th.
	fields := strings.Fields(string(text)[strings.LastIndex(string(text), ")")+1:])
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	if err1 != nil || err2 != nil {
		b.Fatalf("/proc/…/stat cannot be read: %s", text)
	}
	const ticks = 100 // a second, on Linux
	return (user + system) / ticks
}
