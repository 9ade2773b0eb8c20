package schema

import (
	"fmt"
	"reflect"
	"strings"
)

// kindOf finds the kind of a sealed field: the declared one (0 for none) if
// the field's type can hold it, else the one its type implies.
func kindOf(f reflect.StructField, declared Kind) (Kind, *tagError) {
	by := convertedBy(f)
	switch {
	case declared != 0 && by != "":
		return declared, nil // the ORM converts; what it yields cannot be known here
	case declared != 0:
		return declared, checkKind(f.Type, declared)
	case by != "":
		return 0, &tagError{by + " decides what is written, so the kind is not that of the Go type " + f.Type.String(), "add kind=" + suggestKind(by)}
	}
	return inferKind(f.Type)
}

// convertedBy returns the tag setting by which an ORM writes something else
// than the field's Go value; "" when none does.
func convertedBy(f reflect.StructField) string {
	if s := gormSettings(f.Tag)["SERIALIZER"]; s != "" {
		return "gorm's serializer:" + s
	}
	tag, hasBun := f.Tag.Lookup("bun")
	if !hasBun {
		return ""
	}
	if _, ok := bunOption(tag, "msgpack"); ok {
		return "bun's msgpack"
	}
	if c := classOf(f.Type); c == classTexts || c == classInts {
		if _, ok := bunOption(tag, "array"); !ok {
			return "bun writes slices as json and"
		}
	}
	return ""
}

// inferKind returns the kind that a Go type implies.
func inferKind(t reflect.Type) (Kind, *tagError) {
	switch classOf(t) {
	case classString, classNamedString:
		return KindText, nil
	case classBytes, classNamedBytes:
		return KindBytes, nil
	case classInt:
		return KindInt, nil
	case classFloat:
		return KindFloat, nil
	case classBool:
		return KindBool, nil
	case classTime:
		return KindTime, nil
	case classPgtype:
		return pgtypeKinds[leafType(t).Name()], nil
	case classRawJSON:
		return KindJSON, nil
	case classUUID:
		return KindUUID, nil
	case classTexts:
		return KindTextArray, nil
	case classInts:
		return KindIntArray, nil
	case classAny:
		return 0, &tagError{"the type " + t.String() + " holds values of any kind", "add kind=, for instance kind=" + KindText.String()}
	case classOpaque:
		return 0, &tagError{"the type " + t.String() + " converts itself (driver.Valuer or sql.Scanner), so its kind cannot be seen",
			"add kind=" + suggestKind(t.String())}
	case class16Bytes:
		return 0, &tagError{"the type " + t.String() + " may be a UUID or not", "add kind=uuid if it is one, or use []byte"}
	case classDocument:
		return 0, &tagError{"the type " + t.String() + " has no kind of its own", "add kind=json to seal it as one JSON document, or give it a type that converts itself (driver.Valuer and sql.Scanner)"}
	}
	return 0, unsupported(t)
}

func unsupported(t reflect.Type) *tagError {
	switch leaf := leafType(t); {
	case leaf == rawBytesType:
		return &tagError{"unsupported type " + t.String() + ", whose memory belongs to the driver", "use []byte"}
	case leaf.Kind() == reflect.Array && leaf.Elem().Kind() == reflect.Uint8:
		return &tagError{"unsupported type " + t.String() + ", into which database/sql cannot scan", "use []byte"}
	case isGenericNull(t) && classOfLeaf(leaf) != classUnsupported:
		return &tagError{"unsupported type " + t.String() + ": sql.Null passes its value to database/sql's default conversion, which refuses this one",
			"use a pointer, " + "*" + leaf.String()}
	}
	return &tagError{"unsupported type " + t.String(), "use a string, number, bool, []byte, time.Time, or a type that converts itself (driver.Valuer and sql.Scanner) with kind="}
}

// accepts lists the kinds that a class of types takes by kind=, beyond the one
// it implies: those whose values survive the way in through codec and the way
// out through database/sql's conversions to the Go type, unchanged but for
// notation. TestKindsSurvive holds this table to what the two really do.
var accepts = map[class][]Kind{
	classString:      {KindText, KindBytes, KindInt, KindFloat, KindBool, KindTime, KindJSON, KindUUID, KindNumeric, KindTextArray, KindIntArray, KindDate, KindTimestamp},
	classNamedString: {KindText, KindBytes, KindJSON, KindUUID, KindNumeric, KindTextArray, KindIntArray},
	classBytes:       {KindBytes, KindText, KindJSON, KindNumeric},
	classNamedBytes:  {KindBytes, KindJSON},
	classRawJSON:     {KindJSON, KindBytes},
	classInt:         {KindInt, KindNumeric},
	classFloat:       {KindFloat, KindNumeric},
	classBool:        {KindBool},
	classTime:        {KindTime, KindDate, KindTimestamp},
	classUUID:        {KindUUID},
	class16Bytes:     {KindUUID},
	classTexts:       {KindTextArray, KindJSON},
	classInts:        {KindIntArray, KindJSON},
	classDocument:    {KindJSON},
}

func checkKind(t reflect.Type, k Kind) *tagError {
	c := classOf(t)
	switch c {
	case classOpaque, classAny:
		return nil // their own methods, or whatever they hold, decide
	case classUnsupported:
		return unsupported(t)
	}
	kinds := accepts[c]
	if c == classPgtype {
		switch implied := pgtypeKinds[leafType(t).Name()]; implied {
		case KindTime, KindDate, KindTimestamp: // they differ in more than notation
			kinds = []Kind{implied}
		default:
			return nil
		}
	}
	names := make([]string, len(kinds))
	for i, have := range kinds {
		if have == k {
			return nil
		}
		names[i] = have.String()
	}
	hint := "write kind=" + strings.Join(names, ", kind=")
	if i := strings.LastIndex(hint, ", "); i >= 0 {
		hint = hint[:i] + " or " + hint[i+2:]
	}
	return &tagError{fmt.Sprintf("kind=%s does not fit the type %s", k.String(), t), hint + ", or use a type that converts itself (driver.Valuer and sql.Scanner)"}
}

// suggestKind guesses from a name what its author meant, for an error's hint.
func suggestKind(name string) string {
	name = strings.ToLower(name)
	for _, g := range []struct{ word, kind string }{
		{"uuid", "uuid"}, {"ulid", "uuid"}, {"json", "json"}, {"stringarray", "text[]"}, {"int64array", "int[]"}, {"int32array", "int[]"},
		{"decimal", "numeric"}, {"numeric", "numeric"}, {"money", "numeric"}, {"timestamptz", "time"}, {"timestamp", "timestamp"}, {"interval", "text"}, {"time", "time"}, {"date", "date"}, {"deletedat", "time"},
		{"gob", "bytes"}, {"msgpack", "bytes"}, {"bytea", "bytes"}, {"bool", "bool"}, {"float", "float"}, {"int", "int"}, {"string", "text"}, {"text", "text"},
	} {
		if strings.Contains(name, g.word) {
			return g.kind
		}
	}
	return "text, or whichever kind its Value method yields"
}
