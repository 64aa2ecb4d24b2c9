package main

import (
	"net/http"
	"time"

	"github.com/strikeplate/strikeplate"
	"github.com/strikeplate/strikeplate/examples/internal/demo"
	"github.com/strikeplate/strikeplate/examples/internal/meetings"
	"github.com/strikeplate/strikeplate/ratelimit"
)

// limits are those of the plans, for an organisation over all of its keys; and for
// whoever has no valid key 6,000 requests a minute from one address.
func limits(site *demo.Site) (byAddress, byPlan *ratelimit.Limiter, err error) {
	strangers, err := site.FixedWindow()
	if err != nil {
		return nil, nil, err
	}
	byAddress, err = ratelimit.New(ratelimit.Config{Engine: strangers, Rules: []ratelimit.Rule{{
		Policy: ratelimit.Policy{Name: "address", Limit: 6000, Period: time.Minute}, By: ratelimit.ByAddress,
	}}})
	if err != nil {
		return nil, nil, err
	}
	callers, err := site.FixedWindow()
	if err != nil {
		return nil, nil, err
	}
	agreed, err := contracts(site, callers)
	if err != nil {
		return nil, nil, err
	}
	plans, err := ratelimit.NewPlans(ratelimit.PlansConfig{Overrides: agreed, Now: site.Clock.Now, Plans: []ratelimit.Plan{
		{Name: "free", Policies: perMinute("free", 60)},
		{Name: "pro", Policies: perMinute("pro", 300)},
		{Name: "team", Policies: perMinute("team", 1000)},
		{Name: "enterprise", Policies: perMinute("enterprise", 1000)}, // until a contract says more
	}})
	if err != nil {
		return nil, nil, err
	}
	byPlan, err = ratelimit.New(ratelimit.Config{Engine: callers, Plans: plans})
	return byAddress, byPlan, err
}

func perMinute(name string, limit int64) []ratelimit.Policy {
	return []ratelimit.Policy{{Name: name, Limit: limit, Period: time.Minute}}
}

// enterprise are the limits that sales agreed with customers of the Enterprise
// plan, whose limit is "custom". They end with the plan.
type enterprise struct{ *ratelimit.OverrideTable }

func contracts(site *demo.Site, engine ratelimit.Engine) (enterprise, error) {
	table, err := ratelimit.NewOverrideTable(engine, site.Clock.Now)
	if err != nil {
		return enterprise{}, err
	}
	return enterprise{table}, table.Put(ratelimit.Override{
		Organisation: meetings.OrganisationNamed("enterprise").ID,
		Policies:     perMinute("contract", 5000),
		Reason:       "Contract of January 2026: 5,000 requests a minute",
	})
}

// Override implements ratelimit.Overrides.
func (e enterprise) Override(r *http.Request, p *strikeplate.Principal) (ratelimit.Override, bool) {
	if p.Plan != "enterprise" {
		return ratelimit.Override{}, false
	}
	return e.OverrideTable.Override(r, p)
}
