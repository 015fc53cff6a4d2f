package taskstore

import (
	"bytes"
	"encoding/json"
)

// EncodeArgument returns v as JSON for [NewTask.Argument]. A v that JSON cannot express is ErrInvalid.
func EncodeArgument(v any) (string, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // people read the column
	if err := enc.Encode(v); err != nil {
		return "", fail(&inputError{reason: err.Error(), cause: err}, "encode argument")
	}
	return string(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))), nil
}

// DecodeArgument reads t's Argument as JSON into a T. An Argument that is not JSON, or not of T's
// shape, is ErrInvalid.
func DecodeArgument[T any](t Task) (T, error) {
	var v T
	if err := json.Unmarshal([]byte(t.Argument), &v); err != nil {
		var zero T
		return zero, fail(&inputError{reason: err.Error(), cause: err}, "decode argument of task %d", t.ID)
	}
	return v, nil
}
