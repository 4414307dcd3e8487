package worker

import (
	"fmt"
	"reflect"
)

// Each callback but Data is optional, so Go does not say when a session's method has a
// callback's name and another form: the method is there, and nobody calls it. A look at
// each type of session, once, says so in its place.

// optional is a callback besides Data.
type optional struct {
	name string
	form reflect.Type

	// of is reflect's MethodByName of that name: with a constant, for which the linker
	// need not keep all methods that a program has.
	of func(t reflect.Type) (reflect.Method, bool)
}

var optionals = [...]optional{
	{"EOF", reflect.TypeFor[func(*Conn, []byte) error](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("EOF") }},
	{"Close", reflect.TypeFor[func(*Conn, error)](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Close") }},
	{"Drain", reflect.TypeFor[func(*Conn)](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Drain") }},
	{"About", reflect.TypeFor[func(*Conn) string](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("About") }},
	{"Low", reflect.TypeFor[func(*Conn)](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Low") }},
	{"Leave", reflect.TypeFor[func(*Conn)](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Leave") }},
	{"MarshalBinary", reflect.TypeFor[func() ([]byte, error)](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalBinary") }},
	{"UnmarshalBinary", reflect.TypeFor[func([]byte) error](), func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalBinary") }},
}

// closer is the form of an io.Closer's Close, which a session may have for others.
var closer = reflect.TypeFor[func() error]()

// lookAt logs what is overlooked in a session, unless one of its type was looked at. It
// is for the loop's goroutine.
func (l *loop) lookAt(session Session) {
	t := reflect.TypeOf(session)
	if t == l.lookedAt {
		return
	}
	l.lookedAt = t
	if l.looks[t] {
		return
	}
	if l.looks == nil {
		l.looks = make(map[reflect.Type]bool)
	}
	l.looks[t] = true
	for _, o := range overlooked(t) {
		l.log.Warn("a session's method is not called", "session", t.String(), "method", o.method, "reason", o.reason)
	}
}

// overlookedMethod is one that has a callback's name, and is not called.
type overlookedMethod struct{ method, reason string }

// overlooked returns those of a type of sessions. What an embedded field brings is not
// meant for a session.
func overlooked(session reflect.Type) (found []overlookedMethod) {
	movable, declared := 0, false // MarshalBinary and UnmarshalBinary: how many, and whether one is the session's own
	for _, o := range optionals {
		pointers := "" // is what only a pointer to the session has
		method, ok := o.of(session)
		if !ok && session.Kind() == reflect.Struct {
			method, ok = o.of(reflect.PointerTo(session))
			pointers = fmt.Sprintf("it is a method of *%s: Open has to return a pointer", session)
		}
		own, moves := ok && !o.brought(session), o.name == "MarshalBinary" || o.name == "UnmarshalBinary"
		if ok && moves {
			movable++
			declared = declared || own
		}
		if !own {
			continue
		}
		switch is := formOf(method); {
		case is != o.form && !(o.name == "Close" && is == closer):
			found = append(found, overlookedMethod{o.name, fmt.Sprintf("it is %v, and would have to be %v", is, o.form)})
		case is == o.form && pointers != "":
			found = append(found, overlookedMethod{o.name, pointers})
		}
	}
	if movable == 1 && declared {
		found = append(found, overlookedMethod{"MarshalBinary and UnmarshalBinary", "there is only one of them: such connections do not move"})
	}
	return found
}

// brought reports whether a struct, or the one that a pointer is to, has the method by
// an embedded field.
func (o optional) brought(session reflect.Type) bool {
	if session.Kind() == reflect.Pointer {
		session = session.Elem()
	}
	if session.Kind() != reflect.Struct {
		return false
	}
	for i := range session.NumField() {
		field := session.Field(i)
		if !field.Anonymous {
			continue
		}
		_, has := o.of(field.Type)
		_, addressed := o.of(reflect.PointerTo(field.Type))
		if has || addressed {
			return true
		}
	}
	return false
}

// formOf is a method's type without its receiver.
func formOf(method reflect.Method) reflect.Type {
	var in, out []reflect.Type
	for i := 1; i < method.Type.NumIn(); i++ {
		in = append(in, method.Type.In(i))
	}
	for i := range method.Type.NumOut() {
		out = append(out, method.Type.Out(i))
	}
	return reflect.FuncOf(in, out, method.Type.IsVariadic())
}
