package meetings

// What meetings are called and what people say in them.
var (
	occasions = []string{"Weekly sync", "Pipeline review", "Onboarding call", "Renewal talk", "Demo", "Kick-off", "Retrospective", "Roadmap review", "Support escalation", "Pricing workshop"}
	delicate  = []string{"Salary round", "Performance talk", "Board preparation", "Acquisition talk", "Legal dispute", "Job interview"}
	partners  = []string{"Northwind", "Halden", "Juniper", "Kestrel", "Lumen", "Marlow", "Orchard", "Pelican", "Quartz", "Rowan", "Saffron", "Tundra"}
	guests    = []string{"Priya Raman", "Tomás Vega", "Nadia Petrova", "Sam Whitlock"}
	remarks   = []string{
		"Thanks for making the time today.",
		"Let's go through the open points from last week.",
		"The numbers look better than we expected.",
		"Who owns the next step here?",
		"I will send the revised proposal by Friday.",
		"The integration is live, and nobody has complained so far.",
		"We should talk about the renewal before the quarter ends.",
		"Can we move the launch by two weeks?",
		"That depends on what the security review says.",
		"Please write that down, so that we don't forget it.",
		"I have no concerns about the budget.",
		"The customer asked for an export of everything.",
	}
	duties = []string{"Send the revised proposal", "Book the follow-up", "Share the recording", "Update the forecast", "Ask legal about the contract", "Prepare the security review", "Draft the announcement"}
	topics = []string{"progress", "the budget", "next quarter's plan", "open risks", "the rollout", "hiring", "the contract"}
)
