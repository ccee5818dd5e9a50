import { z } from 'zod'
import type { LabContext } from '../context.ts'
import { isInNetwork, isIpv4, maskOf, prefixOf } from '../hardware.ts'
import { errorAnswer, type Route } from '../http/api-server.ts'
import type { LabNode } from '../node.ts'
import { accepted } from './session.ts'

const updateSchema = z.strictObject({
  type: z.enum(['dhcp', 'static']),
  ip: z.string().optional(),
  subnet: z.string().optional(),
  gateway: z.string().optional(),
  mtu: z.int().min(576).max(9216).optional(),
  name: z.string().optional(),
  nameservers: z.array(z.string()).optional(),
  vlanID: z.string().optional(),
})
const base = '/v1/edge-mgmt/network'

/** The network paths of newer agents; an older one does not have them. */
export function networkRoutes(context: LabContext, node: LabNode): Route[] {
  if (!context.scenario.agent.networkApi) return []
  const { durations, recorder, scheduler } = context

  const summary = () => {
    const { nic } = node
    return {
      name: nic.name,
      mac: nic.mac,
      type: nic.mode,
      ip: nic.address,
      subnet: maskOf(nic.prefix),
      gateway: nic.gateway,
      nameservers: [...nic.nameservers],
      mtu: nic.mtu,
      vlanID: nic.vlan === null ? '' : String(nic.vlan),
      status: nic.isApplying ? 'applying' : 'up',
      configStatus: nic.isApplying ? 'configuring' : 'configured',
      isClusterNIC: node.isInCluster,
      bondName: '',
      bridgeName: '',
    }
  }

  return [
    {
      method: 'GET',
      path: `${base}/interfaces`,
      handle: () => ({ status: 200, body: { interfaces: [summary()] } }),
    },
    {
      method: 'GET',
      path: `${base}/interfaces/{name}`,
      handle: ({ params }) =>
        params['name'] === node.nic.name
          ? { status: 200, body: summary() }
          : errorAnswer(404, 'NotFound', `there is no interface ${params['name'] ?? ''}`),
    },
    {
      method: 'PUT',
      path: `${base}/interfaces/{name}/config`,
      handle: ({ params, body }) => {
        if (params['name'] !== node.nic.name)
          return errorAnswer(400, 'NotFound', `there is no interface ${params['name'] ?? ''}`)
        const update = updateSchema.safeParse(body)
        if (!update.success)
          return errorAnswer(
            400,
            'InvalidInput',
            update.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
          )
        const { type, ip = '', subnet = '', gateway, mtu, nameservers, vlanID } = update.data
        if (node.nic.isApplying) return errorAnswer(429, 'Busy', 'another network change is being applied')
        if (node.isLinked || node.isInCluster) {
          return errorAnswer(400, 'Linked', 'the address of a linked host cannot be changed; unlink it first')
        }
        const prefix = prefixOf(subnet)
        if (type === 'static') {
          if (!isIpv4(ip))
            return errorAnswer(400, 'InvalidInput', 'a static interface needs an IPv4 address in ip')
          if (prefix === null) return errorAnswer(400, 'InvalidInput', 'subnet is no mask')
          if (gateway !== undefined && gateway !== '' && !isInNetwork(gateway, `${ip}/${prefix}`)) {
            return errorAnswer(400, 'InvalidInput', 'the gateway is outside the subnet')
          }
        }
        recorder.busy(scheduler.now(), scheduler.now() + durations.networkApply)
        node.configureNic(
          {
            mode: type,
            ...(type === 'static' ? { address: ip, prefix: prefix ?? node.nic.prefix } : {}),
            ...(gateway === undefined || gateway === '' ? {} : { gateway }),
            ...(mtu === undefined ? {} : { mtu }),
            ...(nameservers === undefined ? {} : { nameservers }),
            ...(vlanID === undefined || vlanID === '' ? {} : { vlan: Number(vlanID) }),
          },
          durations.networkApply,
        )
        return accepted(202, 'the interface is being configured')
      },
    },
    {
      method: 'GET',
      path: `${base}/management-interface`,
      handle: () => ({
        status: 200,
        body: {
          selected: node.managementInterface,
          candidates: [{ name: node.nic.name, type: 'nic', ipAddress: node.nic.address, status: 'up' }],
        },
      }),
    },
    {
      method: 'PUT',
      path: `${base}/management-interface`,
      handle: ({ body }) => {
        const change = z.strictObject({ name: z.string() }).safeParse(body)
        if (!change.success || change.data.name !== node.nic.name)
          return errorAnswer(400, 'InvalidInput', 'not a candidate')
        node.managementInterface = change.data.name
        return accepted(202, 'the management interface is set')
      },
    },
    { method: 'GET', path: `${base}/bonds`, handle: () => ({ status: 200, body: { items: [] } }) },
    { method: 'GET', path: `${base}/vlans`, handle: () => ({ status: 200, body: { items: [] } }) },
    { method: 'GET', path: `${base}/bridges`, handle: () => ({ status: 200, body: { items: [] } }) },
    {
      method: 'GET',
      path: `${base}/config-options`,
      handle: () => ({
        status: 200,
        body: {
          bond: {
            mode: ['active-backup', '802.3ad'],
            lacpTransmitRate: ['slow', 'fast'],
            transmitHashPolicy: ['layer2'],
          },
        },
      }),
    },
  ]
}
