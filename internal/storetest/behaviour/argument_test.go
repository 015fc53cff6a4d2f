package behaviour

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// writers are the ways in which an argument and the five ids reach the table. Each returns the rows
// that it wrote.
var writers = map[string]func(t *testing.T, b *storetest.Bundle, n taskstore.NewTask) ([]int64, error){
	"Create": func(t *testing.T, b *storetest.Bundle, n taskstore.NewTask) ([]int64, error) {
		task, err := b.Store.Create(t.Context(), n)
		return []int64{task.ID}, err
	},
	"CreateMany by INSERT": func(t *testing.T, b *storetest.Bundle, n taskstore.NewTask) ([]int64, error) {
		return b.Store.CreateMany(t.Context(), []taskstore.NewTask{storetest.NewTask(1), n})
	},
	"CreateMany by COPY": func(t *testing.T, b *storetest.Bundle, n taskstore.NewTask) ([]int64, error) {
		return b.Store.CreateMany(t.Context(), append(storetest.NewTasks(250), n))
	},
	"Update": func(t *testing.T, b *storetest.Bundle, n taskstore.NewTask) ([]int64, error) {
		task := b.Create(t, 1)
		task.IntegrationID, task.UserID, task.ClientID = n.IntegrationID, n.UserID, n.ClientID
		task.AccountID, task.TemplateID, task.Argument = n.AccountID, n.TemplateID, n.Argument
		task, err := b.Store.Update(t.Context(), task)
		return []int64{task.ID}, err
	},
}

func allIDs(id int64) taskstore.NewTask {
	return taskstore.NewTask{IntegrationID: id, UserID: id, ClientID: id, AccountID: id, TemplateID: id}
}

func TestValuesAreStoredAsTheyAre(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	mebibyte := make([]byte, 1<<20)
	for i := range mebibyte {
		mebibyte[i] = byte(1 + random.IntN(127)) // ASCII, of all kinds, that does not compress
	}
	values := map[string]taskstore.NewTask{
		"empty":              {},
		"document's example": {Argument: `{"project":"project_name", "status": "offline"}`},
		"1 MiB":              {Argument: string(mebibyte)},
		"1 MiB of one rune":  {Argument: strings.Repeat("界", 1<<20/3)},
		"all sorts of runes": {Argument: "\x01\t\r\n\v\x7f\u0080 é 任务 🚀 \u200b\ufeff\ufffd\U0010ffff"},
		"COPY's escapes":     {Argument: "\\N\t\\.\n\\t\\\\ NULL \"\" '' $1"},
		"an escaped NUL":     {Argument: `{"a": "\u0000"}`},
		"largest ids":        allIDs(math.MaxInt64),
		"smallest ids":       allIDs(math.MinInt64),
		"negative ids":       storetest.NewTask(-1),
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			for name, value := range values {
				ids, err := write(t, b, value)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				id := ids[len(ids)-1]
				if got := storetest.Input(storetest.StoredTask(t, b.Pool, id)); got != value {
					t.Errorf("%s: stored another value than was given", name)
				}
				got, err := b.Store.Get(t.Context(), id)
				if err != nil || storetest.Input(got) != value {
					t.Errorf("%s: read another value than was given, error %v", name, err)
				}
				b.Exec(t, `TRUNCATE tasks`)
			}
		})
	}
}

var atByte = regexp.MustCompile(`at byte \d+`)

func TestArgumentsThatTextCannotHoldAreRefused(t *testing.T) {
	t.Parallel()
	arguments := map[string]struct {
		argument string
		at       int // the offending byte
	}{
		"NUL alone":             {"\x00", 0},
		"NUL in the middle":     {"ab\x00c", 2},
		"NUL after runes":       {"任务\x00", 6},
		"Latin-1":               {"caf\xe9", 3},
		"cut off":               {"ab\xe4\xbb", 2},
		"overlong":              {"\xc0\x80", 0},
		"surrogate":             {"a\xed\xa0\x80", 1},
		"beyond Unicode":        {"\xf4\x90\x80\x80", 0},
		"after a valid \ufffd":  {"\ufffd\xff", 3},
		"1 MiB, the last wrong": {strings.Repeat("a", 1<<20) + "\xff", 1 << 20},
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			for name, bad := range arguments {
				task := storetest.NewTask(7)
				task.Argument = bad.argument
				_, err := write(t, b, task)
				storetest.WantError(t, err, taskstore.ErrInvalid)
				if want := fmt.Sprint("at byte ", bad.at); err != nil && atByte.FindString(err.Error()) != want {
					t.Errorf("%s: error %q does not say %q", name, err, want)
				}
				for _, row := range storetest.Stored(t, b.Pool) {
					if row.Argument != storetest.NewTask(1).Argument { // Update's row, as it was before
						t.Errorf("%s: stored %+v", name, row)
					}
				}
				b.Exec(t, `TRUNCATE tasks`)
			}
		})
	}
}

// The position in the input says which of many arguments is the wrong one.
func TestCreateManyNamesTheRefusedTask(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, n := range bothWays {
		ts := storetest.NewTasks(n)
		ts[n-2].Argument = "a\x00"
		ids, err := b.Store.CreateMany(t.Context(), ts)
		storetest.WantError(t, err, taskstore.ErrInvalid)
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("index %d:", n-2)) {
			t.Errorf("error %q does not name index %d", err, n-2)
		}
		if ids != nil || len(storetest.Stored(t, b.Pool)) != 0 {
			t.Errorf("%d ids and %d rows of a refused call", len(ids), len(storetest.Stored(t, b.Pool)))
		}
	}
}

func TestArgumentAsJSON(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	type argument struct {
		Project string   `json:"project"`
		Tags    []string `json:"tags"`
	}
	want := argument{"a<b>&任务", []string{"x", "\x00"}} // JSON escapes the NUL, so that text can hold it
	text, err := taskstore.EncodeArgument(want)
	if err != nil {
		t.Fatal(err)
	}
	created, err := b.Store.Create(t.Context(), taskstore.NewTask{Argument: text})
	if err != nil {
		t.Fatal(err)
	}
	task, err := b.Store.Get(t.Context(), created.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := taskstore.DecodeArgument[argument](task)
	if err != nil || got.Project != want.Project || !slices.Equal(got.Tags, want.Tags) {
		t.Errorf("decoded %+v, %v, want %+v", got, err, want)
	}
	if _, err := taskstore.DecodeArgument[int](task); err == nil ||
		!strings.Contains(err.Error(), fmt.Sprint("task ", task.ID)) {
		t.Errorf("error %v does not name task %d", err, task.ID)
	}
}
