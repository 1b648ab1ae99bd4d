package cli

import (
	"encoding/json"
	"math"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The parts of a job's configuration as AWS writes them. (specification §2.4)

// members reads an object whose every member is known.
func (f jsonField) members(known map[string]func(jsonField) error) error {
	fields, err := f.object()
	if err != nil {
		return err
	}
	for _, m := range fields {
		read, ok := known[m.name]
		if !ok {
			return m.unknown()
		}
		if err := read(m); err != nil {
			return err
		}
	}
	return nil
}

// items reads a list, each item under its place: abortConfig.criteriaList[0].
func (f jsonField) items() ([]jsonField, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(f.value, &list); err != nil || list == nil {
		return nil, invalid(f.path, "a list is expected, not %.40s", f.value)
	}
	items := make([]jsonField, len(list))
	for i, v := range list {
		items[i] = jsonField{path: f.path + "[" + strconv.Itoa(i) + "]", value: v}
	}
	return items, nil
}

// missing refuses an object without one of its members.
func (f jsonField) missing(name string) error { return invalid(f.path+"."+name, "is missing") }

func enumField[E protoreflect.Enum](f jsonField, e E) (protoreflect.EnumNumber, error) {
	s, err := f.text()
	if err != nil {
		return 0, err
	}
	if s == "" {
		return 0, invalid(f.path, "is empty")
	}
	return parseEnum(f.path, s, e)
}

// intoNumber reads an integer from 1 to most into its place.
func intoNumber(into *uint32, most int64) func(jsonField) error {
	return func(f jsonField) (err error) { *into, err = f.number(most); return err }
}

func intoText(into *string) func(jsonField) error {
	return func(f jsonField) (err error) { *into, err = f.text(); return err }
}

// intoDecimal reads a number with at most so many decimals, as a whole number of its last place, from least to most.
func intoDecimal(into *uint32, places int, least, most uint32) func(jsonField) error {
	return func(f jsonField) error {
		n, err := decimal(string(f.value), places)
		if err != nil || n < least || n > most {
			unit := math.Pow10(places)
			return invalid(f.path, "a number from %v to %v with at most %s is expected, not %.40s",
				float64(least)/unit, float64(most)/unit, plural(places, "decimal"), f.value)
		}
		*into = n
		return nil
	}
}

func (f jsonField) rollout() (*v1.RolloutConfig, error) {
	c := new(v1.RolloutConfig)
	return c, f.members(map[string]func(jsonField) error{
		"maximumPerMinute": intoNumber(&c.MaximumPerMinute, math.MaxInt32),
		"exponentialRate":  func(m jsonField) (err error) { c.Exponential, err = m.exponential(); return err },
	})
}

func (f jsonField) exponential() (*v1.ExponentialRate, error) {
	e := new(v1.ExponentialRate)
	criterion := func(into *uint64) func(jsonField) error {
		return func(m jsonField) error { n, err := m.number(math.MaxInt32); *into = uint64(n); return err }
	}
	err := f.members(map[string]func(jsonField) error{
		"baseRatePerMinute": intoNumber(&e.BasePerMinute, math.MaxInt32),
		"incrementFactor":   intoDecimal(&e.IncrementFactorTenths, 1, 11, 50),
		"rateIncreaseCriteria": func(m jsonField) error {
			return m.members(map[string]func(jsonField) error{
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
		return nil, invalid(f.path+".rateIncreaseCriteria", "one of numberOfNotifiedThings and numberOfSucceededThings is needed")
	}
	return e, nil
}

func (f jsonField) timeout() (*v1.TimeoutConfig, error) {
	c := new(v1.TimeoutConfig)
	return c, f.members(map[string]func(jsonField) error{
		"inProgressTimeoutInMinutes": intoNumber(&c.InProgressTimeoutMinutes, timeoutMinutesMax),
	})
}

// criteria reads an object that holds nothing but a list of criteria.
func (f jsonField) criteria(read func(jsonField) error) error {
	found := false
	err := f.members(map[string]func(jsonField) error{"criteriaList": func(m jsonField) error {
		items, err := m.items()
		for _, item := range items {
			found = true
			if err := read(item); err != nil {
				return err
			}
		}
		return err
	}})
	if err == nil && !found {
		return invalid(f.path+".criteriaList", "1 or more criteria are needed")
	}
	return err
}

func (f jsonField) failure(into *v1.FailureType, rejected bool) func(jsonField) error {
	return func(m jsonField) error {
		s, err := m.text()
		if err == nil {
			*into, err = failureType(m.path, s, rejected)
		}
		return err
	}
}

func (f jsonField) abort() (*v1.AbortConfig, error) {
	c := new(v1.AbortConfig)
	return c, f.criteria(func(item jsonField) error {
		a, action := new(v1.AbortCriterion), ""
		err := item.members(map[string]func(jsonField) error{
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
			return invalid(item.path+".action", "%.40q: CANCEL is needed", action)
		case a.ThresholdHundredths == 0:
			return item.missing("thresholdPercentage")
		case a.MinExecuted == 0:
			return item.missing("minNumberOfExecutedThings")
		}
		return nil
	})
}

func (f jsonField) retry() (*v1.RetryConfig, error) {
	c := new(v1.RetryConfig)
	return c, f.criteria(func(item jsonField) error {
		r, counted := new(v1.RetryCriterion), false
		err := item.members(map[string]func(jsonField) error{
			"failureType": item.failure(&r.Failure, false),
			"numberOfRetries": func(m jsonField) error {
				n, err := strconv.ParseUint(string(m.value), 10, 32)
				if err != nil || n > 10 {
					return invalid(m.path, "a whole number from 0 to 10 is expected, not %.40s", m.value)
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

func (f jsonField) scheduling() (*v1.SchedulingConfig, error) {
	c := new(v1.SchedulingConfig)
	at := func(into *string) func(jsonField) error {
		return func(m jsonField) error {
			s, err := m.text()
			if err == nil && s == "" {
				err = invalid(m.path, "is empty")
			}
			if err == nil {
				*into, err = momentArg(m.path, s)
			}
			return err
		}
	}
	err := f.members(map[string]func(jsonField) error{
		"startTime": at(&c.StartTime),
		"endTime":   at(&c.EndTime),
		"endBehavior": func(m jsonField) error {
			n, err := enumField(m, v1.EndBehavior(0))
			c.EndBehavior = v1.EndBehavior(n)
			return err
		},
		"maintenanceWindows": func(m jsonField) (err error) { c.Windows, err = m.windows(); return err },
	})
	if err == nil && c.EndBehavior != 0 && c.EndTime == "" {
		err = invalid(f.path+".endBehavior", "needs an end time")
	}
	return c, err
}

func (f jsonField) windows() ([]*v1.MaintenanceWindow, error) {
	items, err := f.items()
	if err != nil {
		return nil, err
	}
	var list []*v1.MaintenanceWindow
	for _, item := range items {
		w := new(v1.MaintenanceWindow)
		err := item.members(map[string]func(jsonField) error{
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

func (f jsonField) presigned() (*v1.PresignedUrlConfig, error) {
	c := new(v1.PresignedUrlConfig)
	return c, f.members(map[string]func(jsonField) error{
		"roleArn": intoText(&c.RoleArn),
		"expiresInSec": func(m jsonField) (err error) {
			if c.ExpiresInSeconds, err = m.number(3600); err == nil && c.ExpiresInSeconds < 60 {
				err = invalid(m.path, "a whole number from 60 to 3600 is expected, not %.40s", m.value)
			}
			return err
		},
	})
}

func (f jsonField) tags() ([]*v1.Tag, error) {
	items, err := f.items()
	if err != nil {
		return nil, err
	}
	var list []*v1.Tag
	for _, item := range items {
		t := new(v1.Tag)
		if err := item.members(map[string]func(jsonField) error{"Key": intoText(&t.Key), "Value": intoText(&t.Value)}); err != nil {
			return nil, err
		}
		if t.Key == "" {
			return nil, item.missing("Key")
		}
		list = append(list, t)
	}
	return sortedOnce(f.path, list, (*v1.Tag).GetKey)
}

func (f jsonField) parameters() ([]*v1.Parameter, error) {
	fields, err := f.object()
	if err != nil {
		return nil, err
	}
	var list []*v1.Parameter
	for _, m := range fields {
		value, err := m.text()
		if err != nil {
			return nil, err
		}
		list = append(list, &v1.Parameter{Key: m.name, Value: value})
	}
	return sortedOnce(f.path, list, (*v1.Parameter).GetKey)
}
