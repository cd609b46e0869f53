// How the search ranks: pages first, then names of the API, then the cases of the suite.
// Sphinx ranks names of objects 15 higher.
var Scorer = {
  score: ([page, , , , score]) => (page === "cases" ? score - 100 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 0, 1: -5, 2: -15 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
