import { writeFile } from 'node:fs/promises'

/**
 * Writes a plan for so many nodes: three in the control plane, the others, if there are any, in a worker pool.
 * JSON is YAML.
 */
export async function writePlan(file: string, nodes: number, packs: readonly string[] = []): Promise<void> {
  const names = Array.from({ length: nodes }, (_, index) => `n${index + 1}`)
  const workers = names.slice(3)
  const plan = {
    version: 1,
    site: {
      name: `site-of-${nodes}`,
      network: '10.10.200.0/24',
      gateway: '10.10.200.1',
      vip: '10.10.200.250',
      ntp: ['10.10.200.2'],
    },
    appliance: { packs },
    access: { newPassword: { generate: 'node' } },
    nodes: names.map((name, index) => ({ name, address: `10.10.200.${index + 11}`, leader: index === 0 })),
    cluster: {
      name: 'palette',
      podCidr: '100.64.0.0/15',
      serviceCidr: '100.66.0.0/18',
      registry: { password: { generate: 'registry' }, generate: true },
      pools: {
        controlPlane: { hosts: names.slice(0, 3).map((node) => ({ node })) },
        worker: workers.length === 0 ? null : { hosts: workers.map((node) => ({ node })) },
      },
    },
    console: { email: 'ops@example.com', newPassword: { generate: 'console' } },
  }
  await writeFile(file, JSON.stringify(plan, undefined, 2))
}
