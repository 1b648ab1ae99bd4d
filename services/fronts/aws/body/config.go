package body

import (
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The parts of a job's configuration as AWS writes them. (specification §2.4)

// missing refuses an object without one of its members.
func (f Field) missing(name string) error {
	return invalid(strings.TrimPrefix(f.Path+"."+name, "."), "is missing")
}

// intoEnum reads the value of an enum into its place.
func intoEnum[E interface {
	~int32
	protoreflect.Enum
}](place *E) func(Field) error {
	return func(f Field) error {
		s, err := f.Text()
		if err != nil {
			return err
		}
		if s == "" {
			return invalid(f.Path, "is empty")
		}
		n, err := Enum(f.Path, s, *place)
		*place = E(n)
		return err
	}
}

// intoNumber reads an integer from 1 to most into its place.
func intoNumber(into *uint32, most int64) func(Field) error {
	return func(f Field) (err error) { *into, err = f.Number(most); return err }
}

func intoText(place *string) func(Field) error { return into(place, Field.Text) }

// into reads a member into its place.
func into[T any](place *T, read func(Field) (T, error)) func(Field) error {
	return func(f Field) (err error) { *place, err = read(f); return err }
}

// intoDecimal reads a number with at most so many decimals, as a whole number of its last place, from least to most.
func intoDecimal(into *uint32, places int, least, most uint32) func(Field) error {
	return func(f Field) error {
		n, err := Decimal(string(f.Value), places)
		if err != nil || n < least || n > most {
			unit := math.Pow10(places)
			return invalid(f.Path, "a number from %v to %v with at most %s is expected, not %.40s",
				float64(least)/unit, float64(most)/unit, decimals(places), f.Value)
		}
		*into = n
		return nil
	}
}

func (f Field) Rollout() (*v1.RolloutConfig, error) {
	c := new(v1.RolloutConfig)
	return c, f.Members(map[string]func(Field) error{
		"maximumPerMinute": intoNumber(&c.MaximumPerMinute, math.MaxInt32),
		"exponentialRate":  into(&c.Exponential, Field.exponential),
	})
}

func (f Field) exponential() (*v1.ExponentialRate, error) {
	e := new(v1.ExponentialRate)
	criterion := func(into *uint64) func(Field) error {
		return func(m Field) error { n, err := m.Number(math.MaxInt32); *into = uint64(n); return err }
	}
	err := f.Members(map[string]func(Field) error{
		"baseRatePerMinute": intoNumber(&e.BasePerMinute, math.MaxInt32),
		"incrementFactor":   intoDecimal(&e.IncrementFactorTenths, 1, 11, 50),
		"rateIncreaseCriteria": func(m Field) error {
			return m.Members(map[string]func(Field) error{
				"numberOfNotifiedThings":  criterion(&e.NotifiedThings),
				"numberOfSucceededThings": criterion(&e.SucceededThings),
			})
		},
	})
	switch {
	case err != nil:
		return nil, err
	case e.BasePerMinute == 0:
		return nil, f.missing("baseRatePerMinute")
	case e.IncrementFactorTenths == 0:
		return nil, f.missing("incrementFactor")
	case e.NotifiedThings == 0 && e.SucceededThings == 0:
		return nil, invalid(f.Path+".rateIncreaseCriteria", "one of numberOfNotifiedThings and numberOfSucceededThings is needed")
	}
	return e, nil
}

func (f Field) Timeout() (*v1.TimeoutConfig, error) {
	c := new(v1.TimeoutConfig)
	return c, f.Members(map[string]func(Field) error{
		"inProgressTimeoutInMinutes": intoNumber(&c.InProgressTimeoutMinutes, TimeoutMinutesMax),
	})
}

// criteria reads an object that holds nothing but a list of criteria.
func (f Field) criteria(read func(Field) error) error {
	found := false
	err := f.Members(map[string]func(Field) error{"criteriaList": func(m Field) error {
		items, err := m.Items()
		for _, item := range items {
			found = true
			if err := read(item); err != nil {
				return err
			}
		}
		return err
	}})
	if err == nil && !found {
		return invalid(f.Path+".criteriaList", "1 or more criteria are needed")
	}
	return err
}

func (f Field) failure(into *v1.FailureType, rejected bool) func(Field) error {
	return func(m Field) error {
		s, err := m.Text()
		if err == nil {
			*into, err = FailureType(m.Path, s, rejected)
		}
		return err
	}
}

func (f Field) Abort() (*v1.AbortConfig, error) {
	c := new(v1.AbortConfig)
	return c, f.criteria(func(item Field) error {
		a, action := new(v1.AbortCriterion), ""
		err := item.Members(map[string]func(Field) error{
			"failureType":               item.failure(&a.Failure, true),
			"action":                    intoText(&action),
			"thresholdPercentage":       intoDecimal(&a.ThresholdHundredths, 2, 1, 100_00),
			"minNumberOfExecutedThings": intoNumber(&a.MinExecuted, math.MaxInt32),
		})
		c.Criteria = append(c.Criteria, a)
		switch {
		case err != nil:
			return err
		case a.Failure == 0:
			return item.missing("failureType")
		case action != "CANCEL":
			return invalid(item.Path+".action", "%.40q: CANCEL is needed", action)
		case a.ThresholdHundredths == 0:
			return item.missing("thresholdPercentage")
		case a.MinExecuted == 0:
			return item.missing("minNumberOfExecutedThings")
		}
		return nil
	})
}

func (f Field) Retry() (*v1.RetryConfig, error) {
	c := new(v1.RetryConfig)
	return c, f.criteria(func(item Field) error {
		r, counted := new(v1.RetryCriterion), false
		err := item.Members(map[string]func(Field) error{
			"failureType": item.failure(&r.Failure, false),
			"numberOfRetries": func(m Field) error {
				n, err := strconv.ParseUint(string(m.Value), 10, 32)
				if err != nil || n > 10 {
					return invalid(m.Path, "a whole number from 0 to 10 is expected, not %.40s", m.Value)
				}
				r.Retries, counted = uint32(n), true
				return nil
			},
		})
		c.Criteria = append(c.Criteria, r)
		switch {
		case err != nil:
			return err
		case r.Failure == 0:
			return item.missing("failureType")
		case !counted:
			return item.missing("numberOfRetries")
		}
		return nil
	})
}

func (f Field) Scheduling() (*v1.SchedulingConfig, error) {
	c := new(v1.SchedulingConfig)
	at := func(into *string) func(Field) error {
		return func(m Field) error {
			s, err := m.Text()
			if err == nil && s == "" {
				err = invalid(m.Path, "is empty")
			}
			if err == nil {
				*into, err = Moment(m.Path, s)
			}
			return err
		}
	}
	err := f.Members(map[string]func(Field) error{
		"startTime":          at(&c.StartTime),
		"endTime":            at(&c.EndTime),
		"endBehavior":        intoEnum(&c.EndBehavior),
		"maintenanceWindows": into(&c.Windows, Field.Windows),
	})
	if err == nil && c.EndBehavior != 0 && c.EndTime == "" {
		err = invalid(f.Path+".endBehavior", "needs an end time")
	}
	return c, err
}

func (f Field) Windows() ([]*v1.MaintenanceWindow, error) {
	items, err := f.Items()
	if err != nil {
		return nil, err
	}
	var list []*v1.MaintenanceWindow
	for _, item := range items {
		w := new(v1.MaintenanceWindow)
		err := item.Members(map[string]func(Field) error{
			"startTime":         intoText(&w.StartTime),
			"durationInMinutes": intoNumber(&w.DurationMinutes, 1430),
		})
		switch {
		case err != nil:
			return nil, err
		case w.StartTime == "":
			return nil, item.missing("startTime")
		case w.DurationMinutes == 0:
			return nil, item.missing("durationInMinutes")
		}
		list = append(list, w)
	}
	return list, nil
}

func (f Field) PresignedURL() (*v1.PresignedUrlConfig, error) {
	c := new(v1.PresignedUrlConfig)
	return c, f.Members(map[string]func(Field) error{
		"roleArn": intoText(&c.RoleArn),
		"expiresInSec": func(m Field) (err error) {
			if c.ExpiresInSeconds, err = m.Number(3600); err == nil && c.ExpiresInSeconds < 60 {
				err = invalid(m.Path, "a whole number from 60 to 3600 is expected, not %.40s", m.Value)
			}
			return err
		},
	})
}

func (f Field) Tags() ([]*v1.Tag, error) {
	items, err := f.Items()
	if err != nil {
		return nil, err
	}
	var list []*v1.Tag
	for _, item := range items {
		t := new(v1.Tag)
		if err := item.Members(map[string]func(Field) error{"Key": intoText(&t.Key), "Value": intoText(&t.Value)}); err != nil {
			return nil, err
		}
		if t.Key == "" {
			return nil, item.missing("Key")
		}
		list = append(list, t)
	}
	return SortedOnce(f.Path, list, (*v1.Tag).GetKey)
}

func (f Field) Parameters() ([]*v1.Parameter, error) {
	fields, err := f.Object()
	if err != nil {
		return nil, err
	}
	var list []*v1.Parameter
	for _, m := range fields {
		value, err := m.Text()
		if err != nil {
			return nil, err
		}
		list = append(list, &v1.Parameter{Key: m.Name, Value: value})
	}
	return SortedOnce(f.Path, list, (*v1.Parameter).GetKey)
}

// Attributes reads an object of attributes, sorted by name.
func (f Field) Attributes() ([]*v1.Attribute, error) {
	fields, err := f.Object()
	if err != nil {
		return nil, err
	}
	list := make([]*v1.Attribute, 0, len(fields))
	for _, m := range fields {
		value, err := m.Text()
		if err != nil {
			return nil, err
		}
		list = append(list, &v1.Attribute{Name: m.Name, Value: value})
	}
	return SortedOnce(f.Path, list, (*v1.Attribute).GetName)
}
