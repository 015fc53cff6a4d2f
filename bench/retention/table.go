package main

import (
	"fmt"
	"slices"
	"strings"
)

// figure is one of a minute's.
type figure = func(sample) float64

// figures returns one of each minute that was spent in one of the modes.
func (r report) figures(f figure, modes ...string) []float64 {
	var res []float64
	for _, s := range r.Samples {
		if slices.Contains(modes, s.Mode) {
			res = append(res, f(s))
		}
	}
	return res
}

// perRow is what some statements cost for each of the rows that they dealt with in the minutes with deletion.
func (r report) perRow(rows figure, names ...string) string {
	var sum statements
	var n float64
	for _, s := range r.Samples {
		if s.Mode != steady {
			continue
		}
		n += rows(s) * s.Seconds
		for _, name := range names {
			st := s.Statements[name]
			sum.Touched, sum.WAL = sum.Touched+st.Touched, sum.WAL+st.WAL
		}
	}
	return fmt.Sprintf("%.1f, %.0f", float64(sum.Touched)/n, float64(sum.WAL)/n)
}

// beside compares minutes with deletion with those without, in each round of such minutes.
func (r report) beside(f figure) string {
	with, without := r.figures(f, steady), r.figures(f, rests)
	var ratios []float64
	for i, w := range without {
		in := with[i*(round-1) : (i+1)*(round-1)]
		ratios = append(ratios, mean(in)/w)
	}
	return fmt.Sprintf("%.1f, %.1f; %s", median(with), median(without), spread("%.2f", ratios))
}

// table shows runs beside each other.
func table(runs []report) string {
	var b strings.Builder
	row := func(label string, cell func(report) string) {
		b.WriteString("| " + label + " |")
		for _, run := range runs {
			b.WriteString(" " + cell(run) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	row("rows", func(r report) string { return fmt.Sprintf("%d million", r.Rows/1_000_000) })
	b.WriteString("|---" + strings.Repeat("|---", len(runs)) + "|\n")
	row("minutes with deletion, without; the machine's load", func(r report) string {
		load := r.figures(func(s sample) float64 { return s.Load }, steady, rests)
		return fmt.Sprintf("%d, %d; %s", len(r.figures(deleted, steady)), len(r.figures(deleted, rests)),
			spread("%.1f", load))
	})
	row("created, completed a second; deleted, in the minutes with deletion", func(r report) string {
		return fmt.Sprintf("%.0f, %.0f; %.0f", mean(r.figures(created, steady, rests)),
			mean(r.figures(completed, steady, rests)), mean(r.figures(deleted, steady)))
	})
	row("a deleted row: pages touched, bytes of WAL; µs of processor", func(r report) string {
		cpu := r.figures(func(s sample) float64 { return s.DeleteCPU * 1000 / (s.Deleted * s.Seconds) }, steady)
		return r.perRow(deleted, "DeleteFinished", "NextSlice") + fmt.Sprintf("; %.1f", mean(cpu))
	})
	row("a created row: pages, bytes", func(r report) string { return r.perRow(created, "CreateTasks") })
	row("a claimed and completed row: pages, bytes", func(r report) string {
		return r.perRow(completed, "ClaimTasks", "FinishTasks")
	})
	row("create of 10, p50 in ms with deletion, without; ratio", func(r report) string {
		return r.beside(func(s sample) float64 { return s.Create.P50 })
	})
	row("the same, p99", func(r report) string { return r.beside(func(s sample) float64 { return s.Create.P99 }) })
	row("claim, p50 in ms with deletion, without; ratio", func(r report) string {
		return r.beside(func(s sample) float64 { return s.Claim.P50 })
	})
	row("the same, p99", func(r report) string { return r.beside(claimP99) })
	row("dead rows at the end of a minute", func(r report) string {
		return spread("%.0f", r.figures(func(s sample) float64 { return float64(s.Dead) }, steady, rests))
	})
	row("autovacuum: runs that went through the indexes; s; s of processor", func(r report) string {
		var took, cpu []float64
		for _, v := range r.Vacuums {
			if v.IndexScans > 0 { // others found too few pages with dead rows
				took, cpu = append(took, v.Seconds), append(cpu, v.CPU)
			}
		}
		return fmt.Sprintf("%d; %s; %s", len(took), spread("%.0f", took), spread("%.1f", cpu))
	})
	row("table before and after, MB (of it free, %)", func(r report) string {
		return fmt.Sprintf("%.0f, %.0f (%.0f, %.0f)", r.Before.TableMB, r.After.TableMB, r.Before.Free, r.After.Free)
	})
	row("its indexes before and after, MB", func(r report) string {
		return fmt.Sprintf("%.0f, %.0f", r.Before.indexesMB(), r.After.indexesMB())
	})
	row("deleting as fast as it can: rows a second; p99 of a claim to a minute without", func(r report) string {
		return fmt.Sprintf("%.0f; %.2f", mean(r.figures(deleted, fast)),
			mean(r.figures(claimP99, fast))/median(r.figures(claimP99, rests)))
	})
	row("a pass that finds nothing: s; p99 of a claim to a minute without", func(r report) string {
		return fmt.Sprintf("%.0f; %.2f", mean(r.figures(func(s sample) float64 { return s.Seconds }, pass)),
			mean(r.figures(claimP99, pass))/median(r.figures(claimP99, rests)))
	})
	b.WriteString("\n")
	return b.String()
}

func created(s sample) float64   { return s.Created }
func completed(s sample) float64 { return s.Completed }
func deleted(s sample) float64   { return s.Deleted }
func claimP99(s sample) float64  { return s.Claim.P99 }

func (s state) indexesMB() (mb float64) {
	for _, i := range s.Indexes {
		mb += i.MB
	}
	return mb
}

// spread is the median, with the least and the most.
func spread(format string, values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(values), slices.Min(values), slices.Max(values))
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}
