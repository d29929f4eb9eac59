package deploy

import (
	"picloud/app/cloud"
	"picloud/db"
)

// apply makes the changes of a plan. It may run more than once.
func (d *Deployer) apply(tx *db.Tx, by *cloud.Principal, p *plan) error {
	for _, s := range p.scripts.made {
		if err := d.control.CreateScriptTx(tx, by, s); err != nil {
			return err
		}
	}
	for _, s := range p.scripts.updated {
		if err := d.control.UpdateScriptTx(tx, by, s); err != nil {
			return err
		}
	}
	for _, list := range [][]*cloud.Script{p.scripts.made, p.scripts.updated} { // each may import any other
		for _, s := range list {
			if err := d.control.LinkScriptTx(tx, s); err != nil {
				return err
			}
		}
	}
	if err := d.control.ChangeRoutesTx(tx, p.routes.gone, p.routes.made); err != nil {
		return err
	}
	if err := d.applyTriggers(tx, p); err != nil {
		return err
	}
	for _, s := range p.scripts.gone {
		if err := d.control.UnlinkScriptTx(tx, s.ID); err != nil {
			return err
		}
	}
	for _, s := range p.scripts.gone { // last: routes and triggers go with them
		if err := d.control.DeleteScriptTx(tx, s.ID); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployer) applyTriggers(tx *db.Tx, p *plan) error {
	for _, t := range p.triggers.gone {
		if err := d.outbox.DeleteTriggerTx(tx, p.app, t.ID); err != nil {
			return err
		}
	}
	for _, t := range p.triggers.updated {
		if err := d.outbox.UpdateTriggerTx(tx, t); err != nil {
			return err
		}
	}
	for _, t := range p.triggers.made {
		if err := d.outbox.CreateTriggerTx(tx, t); err != nil {
			return err
		}
	}
	return nil
}
