import { checkPasswords, checkProxy, checkSshKeys, checkTags, checkVariables } from './rules/access.ts'
import {
  checkAddressesDistinct,
  checkAddressesInNetwork,
  checkInterfaces,
  checkMtu,
  checkNameServers,
  checkSiteNetwork,
  checkTimeServers,
  checkVip,
} from './rules/addresses.ts'
import {
  checkClusterNetworkOverlap,
  checkClusterNetworkRange,
  checkClusterNetworkShape,
  checkServersOutsideClusterNetworks,
} from './rules/cluster-networks.ts'
import { checkBundles, checkMedia } from './rules/media.ts'
import {
  checkExpectations,
  checkHostNames,
  checkLeader,
  checkEraseConfirmations,
  checkNodeNames,
  checkNodePorts,
} from './rules/nodes.ts'
import { checkControlPlaneSize, checkPoolMembers, checkScheduling } from './rules/pools.ts'
import { checkRegistry } from './rules/registry.ts'
import type { Finding, Rule } from './rules/rule.ts'
import type { PlanPath } from './problem.ts'
import type { Draft } from './schema-walk.ts'
import type { Plan } from './schema.ts'

/** The rules between fields. Codes are those of the catalogue of checks where it has one. */
const RULES: readonly Rule[] = [
  checkSiteNetwork,
  checkVip,
  checkAddressesInNetwork,
  checkAddressesDistinct,
  checkInterfaces,
  checkMtu,
  checkNameServers,
  checkTimeServers,
  checkProxy,
  checkBundles,
  checkMedia,
  checkPasswords,
  checkEraseConfirmations,
  checkNodeNames,
  checkLeader,
  checkHostNames,
  checkExpectations,
  checkNodePorts,
  checkClusterNetworkShape,
  checkClusterNetworkOverlap,
  checkClusterNetworkRange,
  checkServersOutsideClusterNetworks,
  checkRegistry,
  checkSshKeys,
  checkVariables,
  checkTags,
  checkPoolMembers,
  checkControlPlaneSize,
  checkScheduling,
]

/** Everything that the rules find in what parsed of a plan. */
export function checkRules(plan: Draft<Plan>, isGiven: (path: PlanPath) => boolean): Finding[] {
  return RULES.flatMap((rule) => rule({ plan, isGiven }))
}
