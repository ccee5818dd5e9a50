import { describe, expect, it } from 'vitest'
import { planSchema } from './schema.ts'

describe('the plan schema', () => {
  it('fills in the defaults of the procedure', () => {
    const plan = planSchema.parse({
      version: 1,
      site: { name: 'rig-7', network: '10.10.200.0/24', vip: '10.10.200.100' },
      access: { newPassword: { generate: 'node' } },
      nodes: [{ name: 'n1', address: '10.10.200.11', leader: true }],
      cluster: { name: 'palette', registry: { password: { generate: 'registry' } } },
      console: { email: 'ops@example.com', newPassword: { env: 'CONSOLE_PASSWORD' } },
    })
    expect(plan.cluster).toMatchObject({
      storagePoolDrive: '/dev/sdb',
      mongoReplicas: 3,
      registry: { inCluster: true, port: 30003, baseContentPath: 'spectro-content', username: 'admin' },
      pools: {
        controlPlane: { name: 'control-plane-pool', allowWorkerCapability: true, architecture: 'amd64' },
      },
    })
  })
})
