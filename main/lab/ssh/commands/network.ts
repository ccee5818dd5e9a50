import type { Command } from '../shell.ts'
import { split, usage } from './arguments.ts'
import { applyNetwork } from './system.ts'

export const networkctl: Command = async (call) => {
  const [verb = 'list'] = split(call.args).operands
  if (verb === 'reload' || verb === 'reconfigure') {
    if (call.user !== 'root')
      return await usage(call, 'Failed to reload network settings: Interactive authentication required.', 1)
    applyNetwork(call)
  } else if (verb === 'list')
    await call.out(`IDX LINK TYPE OPERATIONAL SETUP\n  2 ${call.node.nic.name} ether routable configured\n`)
  else if (verb === 'status')
    await call.out(
      `● 2: ${call.node.nic.name}\n  State: routable (configured)\n  Address: ${call.node.nic.address}\n`,
    )
  else return await usage(call, `Unknown command verb '${verb}'.`, 1)
  return 0
}

export const resolvectl: Command = async (call) => {
  const { name, nameservers, searchDomains } = call.node.nic
  const [verb = 'status'] = split(call.args).operands
  if (verb === 'dns')
    await call.out(`Global:
Link 2 (${name}): ${nameservers.join(' ')}
`)
  else if (verb === 'domain') await call.out(`Global:\nLink 2 (${name}): ${searchDomains.join(' ')}\n`)
  else if (verb === 'status')
    await call.out(`Link 2 (${name})
  DNS Servers: ${nameservers.join(' ')}
`)
  else return await usage(call, `Unknown command verb '${verb}'.`, 1)
  return 0
}
