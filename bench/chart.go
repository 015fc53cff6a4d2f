package main

func draw(rep *report, dir string) error { return nil }
