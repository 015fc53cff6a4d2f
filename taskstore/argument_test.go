package taskstore

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestEncodeArgument(t *testing.T) {
	t.Parallel()
	type argument struct {
		Project string            `json:"project"`
		Labels  map[string]string `json:"labels,omitempty"`
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{argument{Project: "project_name"}, `{"project":"project_name"}`},
		{argument{Project: "a<b> & 任务"}, `{"project":"a<b> & 任务"}`}, // as people write it
		{argument{"x", map[string]string{"b": "2", "a": "1"}}, `{"project":"x","labels":{"a":"1","b":"2"}}`},
		{"a\x00b", `"a\u0000b"`},           // text cannot hold a NUL, its escape it can
		{"a\xffb", `"a\ufffdb"`},           // nor what is no UTF-8
		{"two\nlines\n", `"two\nlines\n"`}, // no newline of the encoder's own at the end
		{json.RawMessage(` {"raw" : 1} `), `{"raw":1}`},
		{nil, `null`},
		{int64(math.MaxInt64), `9223372036854775807`},
	} {
		got, err := EncodeArgument(c.value)
		if err != nil || got != c.want {
			t.Errorf("EncodeArgument(%#v) = %q, %v, want %q", c.value, got, err, c.want)
		}
		if err := checkText("argument", got, maxBytes); err != nil {
			t.Errorf("EncodeArgument(%#v) returns what cannot be stored: %v", c.value, err)
		}
	}
}

func TestEncodeArgumentRefusesWhatJSONCannotExpress(t *testing.T) {
	t.Parallel()
	type loop struct{ Next *loop }
	cycle := new(loop)
	cycle.Next = cycle
	for _, value := range []any{
		make(chan int), func() {}, math.NaN(), math.Inf(1), cycle, map[string]any{"f": func() {}},
	} {
		got, err := EncodeArgument(value)
		if !errors.Is(err, ErrInvalid) || got != "" {
			t.Errorf("EncodeArgument(%T) = %q, %v, want ErrInvalid", value, got, err)
		}
	}
	var cause *json.UnsupportedTypeError
	if _, err := EncodeArgument(make(chan int)); !errors.As(err, &cause) {
		t.Errorf("error %v hides encoding/json's", err)
	}
}

func TestDecodeArgument(t *testing.T) {
	t.Parallel()
	type argument struct {
		Project string   `json:"project"`
		Tags    []string `json:"tags"`
	}
	task := Task{ID: 7, Argument: `{"project":"project_name", "status": "offline", "tags": ["x"]}`}
	got, err := DecodeArgument[argument](task)
	if want := (argument{"project_name", []string{"x"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, %v, want %+v", got, err, want)
	}
	fields, err := DecodeArgument[map[string]any](task)
	if err != nil || len(fields) != 3 || fields["status"] != "offline" {
		t.Errorf("decoded %v, %v", fields, err)
	}

	for _, bad := range []string{"", "not JSON", `{"project": 5}`, `[]`, `{"project":"cut off`, `{} {}`} {
		got, err := DecodeArgument[argument](Task{ID: 7, Argument: bad})
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "task 7") || !reflect.DeepEqual(got, argument{}) {
			t.Errorf("%q decoded to %+v, %v, want ErrInvalid of task 7 and nothing half read", bad, got, err)
		}
	}
	var cause *json.UnmarshalTypeError
	if _, err := DecodeArgument[argument](Task{Argument: `[]`}); !errors.As(err, &cause) {
		t.Errorf("error %v hides encoding/json's", err)
	}
}
