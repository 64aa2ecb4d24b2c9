// Package supplychain pins the programs that say what is in Strikeplate and what
// changed for those who use it: cyclonedx-gomod and apidiff. `make sbom` and
// `make apidiff` build them into bin/.
package supplychain
