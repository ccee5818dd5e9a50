export { collectNodeFacts, type CollectedFacts } from './collect-node-facts.ts'
