// Package cli is what the command lines of the commands have in common: flags that environment variables stand in for,
// and errors that never repeat what was given, which may be a database URL in the wrong place.
package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Env looks up an environment variable.
type Env func(string) (string, bool)

// DatabaseFlag defines --database-url.
func DatabaseFlag(root *cobra.Command, url *string) {
	root.PersistentFlags().StringVar(url, "database-url", "",
		"database to work on; else DATABASE_URL, else libpq's PG* variables. ps shows a flag to everybody on the\n"+
			"machine: a password belongs in a variable or in ~/.pgpass")
}

// DatabaseURL is the connection string to use, given what --database-url has.
func DatabaseURL(flag string, env Env) string {
	if flag != "" {
		return flag
	}
	url, _ := env("DATABASE_URL")
	return url
}

// EnvName is the environment variable that stands in for a flag.
func EnvName(command, flag string) string {
	return strings.ToUpper(command + "_" + strings.ReplaceAll(flag, "-", "_"))
}

// DescribeEnv adds to each flag's help the variable that stands in for it.
func DescribeEnv(command string, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) { f.Usage += " [" + EnvName(command, f.Name) + "]" })
}

// ReadEnv sets the flags that the command line left open from the environment. Its error names the variable and not
// its value, which may hold a password.
func ReadEnv(command string, flags *pflag.FlagSet, env Env) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := EnvName(command, f.Name)
		value, ok := env(name)
		if f.Changed || !ok || value == "" || f.Name == "help" || err != nil {
			return
		}
		if flags.Set(f.Name, value) != nil {
			err = Usage("%s does not hold a valid --%s, which takes %s", name, f.Name, kind(f))
		}
	})
	return err
}

// CheckFlags refuses a negative number, but for the flags of signed, a database URL in the place of something else, and
// a required flag without a value.
func CheckFlags(flags *pflag.FlagSet, signed func(name string) bool) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Value.Type() != "string" && strings.HasPrefix(f.Value.String(), "-") && !signed(f.Name):
			err = Usage("--%s cannot be negative", f.Name)
		case f.Value.Type() == "string" && f.Name != "database-url" && strings.Contains(f.Value.String(), "://"):
			err = Usage("--%s is no place for a database URL; that is --database-url", f.Name)
		case f.Annotations[cobra.BashCompOneRequiredFlag] != nil && !f.Changed:
			missing := Usage("--%s is missing", f.Name)
			missing.Hint = f.Usage
			err = missing
		}
	})
	return err
}

// WantsJSON looks for the output format without the flag parser, whose errors are to be reported in that format, too.
func WantsJSON(command string, args []string, env Env) bool {
	format, _ := env(EnvName(command, "output"))
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--output="); ok {
			format = value
		} else if arg == "--output" && i+1 < len(args) {
			format = args[i+1]
		}
	}
	return format == "json"
}

var plainWord = regexp.MustCompile(`^[\w./-]+$`)

// ShellWord is how a shell takes a value as it is.
func ShellWord(value string) string {
	if plainWord.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// ExitHelp lists the exit codes that have a meaning.
func ExitHelp(meanings []string) string {
	var text strings.Builder
	for code, meaning := range meanings {
		if meaning != "" {
			fmt.Fprintf(&text, "\n  %d  %s", code, meaning)
		}
	}
	return text.String()
}

// Table aligns the columns of rows, which are separated by tabs.
func Table(rows func(io.Writer)) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	rows(w)
	_ = w.Flush()
	return text.String()
}
