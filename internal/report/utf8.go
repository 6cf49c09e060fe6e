package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"

	"bulkhead.dev/bulkhead/internal/finding"
)

// validUTF8 is r, or where a string in it is not UTF-8, as a file's name may
// be, what reading its JSON gives: with U+FFFD for each such byte. Two names
// that differ in those bytes only become equal then, in every format alike.
func validUTF8(r *finding.Result) (*finding.Result, error) {
	if isUTF8(reflect.ValueOf(r)) {
		return r, nil
	}
	b, err := marshalJSON(r, "", "")
	if err != nil {
		return nil, err
	}
	valid := &finding.Result{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(valid); err != nil {
		return nil, fmt.Errorf("replace what is not UTF-8: %w", err)
	}
	return valid, nil
}

func isUTF8(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return utf8.ValidString(v.String())
	case reflect.Pointer, reflect.Interface:
		return v.IsNil() || isUTF8(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if !isUTF8(v.Field(i)) {
				return false
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !isUTF8(v.Index(i)) {
				return false
			}
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			if !isUTF8(entry.Key()) || !isUTF8(entry.Value()) {
				return false
			}
		}
	}
	return true
}
