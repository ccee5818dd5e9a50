export { toFindings } from './check-results.ts'
export { type ProofNode, type ProofReport, type ReachResult } from './proof.ts'
export { proveAddress } from './prove-address.ts'
export { reachByDialler } from './workstation-reach.ts'
