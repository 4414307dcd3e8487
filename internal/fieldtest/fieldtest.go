// Package fieldtest helps tests that what is written and read again, such as the state
// that an upgrade hands over, leaves out no field. It is for tests alone, and does no
// input or output.
package fieldtest

import (
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// Known fails the test unless fields says something about each field of the struct of,
// by its name, and about nothing else. question is what it asks of a field that is new.
func Known(t *testing.T, of any, fields map[string]string, question string) {
	t.Helper()
	kind := reflect.TypeOf(of)
	for i := range kind.NumField() {
		if field := kind.Field(i).Name; fields[field] == "" {
			t.Errorf("%s.%s: %s", kind.Name(), field, question)
		}
	}
	for field := range fields {
		if _, ok := kind.FieldByName(field); !ok {
			t.Errorf("%s has no %s", kind.Name(), field)
		}
	}
}

// Fill sets everything that can be set in what to points to, to something that is not
// zero: slices get two elements. Values differ from their neighbours.
func Fill(to any) {
	n := 0
	fill(reflect.ValueOf(to).Elem(), &n)
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.MustParseAddrPort("[2001:db8::1%eth0]:80")))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(*n), 0).UTC()))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.0.2.0/24")))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() { // else it is not written
				fill(v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(time.Duration(*n).String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n % 200))
	case reflect.Float64:
		v.SetFloat(float64(*n))
	default:
		v.SetInt(int64(*n))
	}
}
