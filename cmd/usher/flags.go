package main

import (
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// settingsTag marks the commands of cli that take the settings.
const settingsTag = "settings"

// takeSettings has kong add the settings to the commands that take them. It fills v
// in when it has parsed one.
func takeSettings(v *values) kong.Option {
	return kong.PostBuild(func(k *kong.Kong) error {
		for _, command := range k.Model.Children {
			if command.Tag.Has(settingsTag) {
				declare(command, v)
			}
		}
		return nil
	})
}

// declare adds the settings to a command, as kong itself does for a struct's fields.
func declare(command *kong.Node, v *values) {
	mappers := kong.NewRegistry().RegisterDefaults()
	for _, row := range settings {
		target := reflect.ValueOf(row.field(v)).Elem()
		value := &kong.Value{
			Name:         row.key,
			Help:         row.flagHelp(),
			HasDefault:   row.byDefault != "",
			Default:      row.initial(),
			DefaultValue: reflect.New(target.Type()).Elem(),
			Enum:         strings.Join(row.choices, ","),
			Mapper:       mappers.ForValue(target),
			Target:       target,
			Tag:          &kong.Tag{Enum: strings.Join(row.choices, ","), Sep: ','},
		}
		if row.argument {
			command.Positional = append(command.Positional, value)
			continue
		}
		value.Tag.Envs = []string{row.variable()}
		value.Flag = &kong.Flag{Value: value, PlaceHolder: row.placeholder, Envs: value.Tag.Envs}
		command.Flags = append(command.Flags, value.Flag)
	}
}
