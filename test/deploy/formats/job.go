package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/nomad/api"
	"github.com/zclconf/go-cty/cty"
)

// checkJob refuses a block or attribute that the types of Nomad's API do not have, and a value of another type. What only a server
// knows (drivers' own options, constraints between fields) it does not see.
func checkJob(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	parsed, diagnostics := hclsyntax.ParseConfig(text, file, hcl.InitialPos)
	if diagnostics.HasErrors() {
		return "", diagnostics
	}
	body := parsed.Body.(*hclsyntax.Body)
	if len(body.Blocks) != 1 || body.Blocks[0].Type != "job" || len(body.Blocks[0].Labels) != 1 {
		return "", fmt.Errorf("expected one block job \"NAME\"")
	}
	if err := checkBody(body.Blocks[0].Body, reflect.TypeFor[api.Job]()); err != nil {
		return "", err
	}
	return "a job", nil
}

// field finds the field with the HCL name, and how it is written: optional, block or label.
func field(of reflect.Type, name string) (reflect.Type, string) {
	for i := range of.NumField() {
		tag, how, _ := strings.Cut(of.Field(i).Tag.Get("hcl"), ",")
		if tag == name && tag != "" {
			return bare(of.Field(i).Type), how
		}
	}
	return nil, ""
}

// labels counts what stands behind the name of a block.
func labels(of reflect.Type) int {
	count := 0
	for i := range of.NumField() {
		if strings.HasSuffix(of.Field(i).Tag.Get("hcl"), ",label") {
			count++
		}
	}
	return count
}

func bare(of reflect.Type) reflect.Type {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	return of
}

func checkBody(body *hclsyntax.Body, of reflect.Type) error {
	for name, attribute := range body.Attributes {
		kind, how := field(of, name)
		if kind == nil || how == "block" || how == "label" {
			return fmt.Errorf("%s: %s has no attribute %q", attribute.SrcRange, of.Name(), name)
		}
		if err := checkValue(attribute.Expr, kind); err != nil {
			return fmt.Errorf("%s: %s: %w", attribute.SrcRange, name, err)
		}
	}
	for _, block := range body.Blocks {
		kind, how := field(of, block.Type)
		if kind == nil || how != "block" {
			return fmt.Errorf("%s: %s has no block %q", block.TypeRange, of.Name(), block.Type)
		}
		if kind.Kind() == reflect.Map && bare(kind.Elem()).Kind() != reflect.Struct {
			continue // names of the operator's choice, or options of a driver
		}
		expected := 0
		if kind.Kind() == reflect.Map {
			expected = 1
		}
		if kind.Kind() == reflect.Map || kind.Kind() == reflect.Slice {
			kind = bare(kind.Elem())
		}
		if len(block.Labels) != expected+labels(kind) {
			return fmt.Errorf("%s: %s: found %d labels, expected %d", block.TypeRange, block.Type, len(block.Labels), expected+labels(kind))
		}
		if err := checkBody(block.Body, kind); err != nil {
			return err
		}
	}
	return nil
}

// checkValue takes a text with ${…} for a string: only a client knows what stands for it.
func checkValue(expression hclsyntax.Expression, kind reflect.Type) error {
	value := cty.StringVal("")
	if len(expression.Variables()) == 0 {
		found, diagnostics := expression.Value(nil)
		if diagnostics.HasErrors() {
			return diagnostics
		}
		value = found
	} else if kind.Kind() != reflect.String {
		return nil
	}
	found := value.Type()
	switch {
	case kind == reflect.TypeFor[time.Duration]():
		if found != cty.String {
			return fmt.Errorf("found %s, expected a duration", found.FriendlyName())
		}
		_, err := time.ParseDuration(value.AsString())
		return err
	case kind.Kind() == reflect.String && found == cty.String,
		kind.Kind() == reflect.Bool && found == cty.Bool,
		kind.Kind() == reflect.Slice && found.IsTupleType(),
		kind.Kind() == reflect.Int && found == cty.Number:
		return nil
	}
	return fmt.Errorf("found %s, expected %s", found.FriendlyName(), kind)
}
