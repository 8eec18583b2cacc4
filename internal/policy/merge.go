package policy

import (
	"fmt"
	"reflect"
)

const tag = "policy"

// Merge lays the settings of configs over each other, the most general first: field by field the most specific that is
// stated wins (GEP-713, patch defaults). Restrictions stay empty in the result: they never yield, so each policy's own
// are enforced by a stage of their own. zero is the kind's empty config and is filled and returned.
func Merge(zero any, configs ...any) any {
	into := reflect.ValueOf(zero).Elem()
	for _, config := range configs {
		from := reflect.ValueOf(config).Elem()
		for i := range into.NumField() {
			if into.Type().Field(i).Tag.Get(tag) == "setting" {
				patch(into.Field(i), from.Field(i))
			}
		}
	}
	return zero
}

// patch lays from over into: a struct member by member, anything else whole where it is stated.
func patch(into, from reflect.Value) {
	switch from.Kind() {
	case reflect.Struct:
		for i := range from.NumField() {
			patch(into.Field(i), from.Field(i))
		}
	case reflect.Map, reflect.Slice: // a written empty list is a statement
		if !from.IsNil() {
			into.Set(from)
		}
	default:
		if !from.IsZero() {
			into.Set(from)
		}
	}
}

// CheckConfig reports a config type whose fields do not all say whether they are settings or restrictions. The test of
// the table of kinds calls it for every kind.
func CheckConfig(config any) error {
	t := reflect.TypeOf(config)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("config %s: not a pointer to a struct", t)
	}
	for i := range t.Elem().NumField() {
		field := t.Elem().Field(i)
		switch field.Tag.Get(tag) {
		case "setting", "restriction":
		default:
			return fmt.Errorf("config %s: field %s: tag %s must be setting or restriction", t, field.Name, tag)
		}
	}
	return nil
}
