// Command pocketbase is PocketBase with its JavaScript hooks, as its own release is built,
// and with the two hooks of the benchmark: hello, and one insert.
package main

import (
	"log"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/plugins/jsvm"
)

func main() {
	app := pocketbase.New()
	// 15 pooled VMs is the default of PocketBase's own command.
	jsvm.MustRegister(app, jsvm.Config{HooksPoolSize: 15})
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		if _, err := e.App.FindCollectionByNameOrId("items"); err == nil {
			return e.Next()
		}
		items := core.NewBaseCollection("items")
		items.Fields.Add(&core.TextField{Name: "name"}, &core.NumberField{Name: "n"})
		if err := e.App.Save(items); err != nil {
			return err
		}
		return e.Next()
	})
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}
