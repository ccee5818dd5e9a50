import type { Plan, ProcedureVariant } from './schema.ts'

/**
 * The passwords with which accounts are documented to start. Each is used for one login, only on the explicit choice
 * `product-default`.
 */
export const productDefaultPasswords = {
  /** Account `kairos` of a variant A appliance, SSH and Local UI (palette.md §1.4, seed step 5). */
  node: 'kairos',
  /** `admin` of the system console (palette.md §1.9, seed step 38). */
  console: 'admin',
} as const

/** The registry password that variant A's form offers (palette.md §2.4). Public, so Landfall refuses it. */
export const PRODUCT_DEFAULT_REGISTRY_PASSWORD = 'Spectro@123'

/** What the vendor's documentation says about one generation of the procedure. `null`: not published, or no such field. */
export interface VariantFacts {
  /** Default of the form; palette.md §2.3. */
  podCidr: string | null
  /** Default of the form; palette.md §2.3. */
  serviceCidr: string | null
  /** Default of the form; palette.md §2.4. */
  mongoReplicas: number
  /** Default of "CSI Placement Count"; `null` where the form has no such field; palette.md §2.3. */
  csiPlacementCount: number | null
  /** Default of "OCI Registry Storage Size" in GiB; `null` where the form has no such field; palette.md §2.4. */
  registryStorageSize: number | null
  /** True when the form has no default, so that a password must be given; palette.md §2.4. */
  needsRegistryPassword: boolean
  /** True when certificate and key of the internal registry must be given; palette.md §2.4, §9 (9, 10). */
  needsRegistryCertificate: boolean
  /** True when the ISO is slim and the content comes as a signed bundle; palette.md §1.2. */
  needsContentBundle: boolean
  /** True when the ISO has the documented account `kairos`; palette.md §9 (4). */
  hasDefaultNodeAccount: boolean
  /** palette.md §2.1; C is not stated there and is read as the strictest of its neighbours. */
  minimumNodes: number
  /** Cores per node; palette.md §2.1. */
  cpuCores: number
  /** GB per node; palette.md §2.1. */
  memoryGb: number
  /** GB, first disk (operating system and stack); palette.md §2.1. */
  systemDiskGb: number
  /** GB, second disk (storage pool, wiped); palette.md §2.1. */
  storageDiskGb: number
}

/** Documented facts of all four generations (palette.md, "Doc generations"). */
export const VARIANT_FACTS: Readonly<Record<ProcedureVariant, Readonly<VariantFacts>>> = {
  A: {
    podCidr: '192.168.0.0/16',
    serviceCidr: '192.169.0.0/16',
    mongoReplicas: 3,
    csiPlacementCount: null,
    registryStorageSize: null,
    needsRegistryPassword: false,
    needsRegistryCertificate: true,
    needsContentBundle: false,
    hasDefaultNodeAccount: true,
    minimumNodes: 3,
    cpuCores: 8,
    memoryGb: 16,
    systemDiskGb: 250,
    storageDiskGb: 200,
  },
  B: {
    podCidr: null,
    serviceCidr: null,
    mongoReplicas: 3,
    csiPlacementCount: null,
    registryStorageSize: null,
    needsRegistryPassword: true,
    needsRegistryCertificate: false,
    needsContentBundle: false,
    hasDefaultNodeAccount: false,
    minimumNodes: 3,
    cpuCores: 8,
    memoryGb: 16,
    systemDiskGb: 250,
    storageDiskGb: 500,
  },
  C: {
    podCidr: null,
    serviceCidr: null,
    mongoReplicas: 3,
    csiPlacementCount: null,
    registryStorageSize: null,
    needsRegistryPassword: true,
    needsRegistryCertificate: false,
    needsContentBundle: false,
    hasDefaultNodeAccount: false,
    minimumNodes: 3,
    cpuCores: 8,
    memoryGb: 16,
    systemDiskGb: 250,
    storageDiskGb: 500,
  },
  D: {
    podCidr: '100.64.0.0/18',
    serviceCidr: '100.64.64.0/18',
    mongoReplicas: 3,
    csiPlacementCount: 3,
    registryStorageSize: 100,
    needsRegistryPassword: true,
    needsRegistryCertificate: false,
    needsContentBundle: true,
    hasDefaultNodeAccount: false,
    minimumNodes: 1,
    cpuCores: 8,
    memoryGb: 16,
    systemDiskGb: 300,
    storageDiskGb: 500,
  },
}

/**
 * The plan as it will be carried out on an appliance of `variant`, for display: what the plan leaves open is filled in
 * from the plan itself (hosts of the control plane, host names, time servers, gateway) or from the variant's documented
 * defaults. What the variant does not publish stays absent, and so does a VIP that is still to be looked for.
 */
export function withVariantDefaults(plan: Plan, variant: ProcedureVariant): Plan {
  const facts = VARIANT_FACTS[variant]
  const { cluster, site } = plan
  const workers = new Set(cluster.pools.worker?.hosts.map((host) => host.node))
  const hostNames = new Map(plan.nodes.map((node) => [node.name, node.hostName ?? node.name]))
  const controlPlaneHosts =
    cluster.pools.controlPlane.hosts ??
    plan.nodes
      .filter((node) => !workers.has(node.name))
      .map((node) => ({ node: node.name, nic: 'auto', hostName: null }))
  const named = (hosts: typeof controlPlaneHosts): typeof controlPlaneHosts =>
    hosts.map((host) => ({ ...host, hostName: host.hostName ?? hostNames.get(host.node) ?? null }))
  const optional = <Key extends string, Value>(key: Key, value: Value | null | undefined) =>
    (value == null ? {} : { [key]: value }) as Partial<Record<Key, Value>>
  // The internal registry answers on the VIP.
  const registryHost = cluster.registry.inCluster && site.vip !== 'auto' ? site.vip : null

  return {
    ...plan,
    appliance: { ...plan.appliance, variant },
    nodes: plan.nodes.map((node) => ({
      ...node,
      hostName: node.hostName ?? node.name,
      nic:
        node.nic.mode === 'static'
          ? {
              ...node.nic,
              mask: node.nic.mask ?? Number(site.network.split('/')[1]),
              gateway: node.nic.gateway ?? site.gateway,
            }
          : node.nic,
      dns: node.dns ?? site.dns,
      ntp: node.ntp ?? site.ntp,
    })),
    cluster: {
      ...cluster,
      ...optional('podCidr', cluster.podCidr ?? facts.podCidr),
      ...optional('serviceCidr', cluster.serviceCidr ?? facts.serviceCidr),
      ...optional(
        'csiPlacementCount',
        // The two must be equal (palette.md §2.3), so the plan's replicas win over the form's default.
        cluster.csiPlacementCount ?? (facts.csiPlacementCount === null ? null : cluster.mongoReplicas),
      ),
      ntp: cluster.ntp ?? site.ntp,
      registry: {
        ...cluster.registry,
        ...optional('endpoint', cluster.registry.endpoint ?? registryHost),
        ...optional('rootDomain', cluster.registry.rootDomain ?? registryHost),
        ...optional(
          'storageSize',
          cluster.registry.storageSize ?? (cluster.registry.inCluster ? facts.registryStorageSize : null),
        ),
      },
      pools: {
        controlPlane: { ...cluster.pools.controlPlane, hosts: named(controlPlaneHosts) },
        worker:
          cluster.pools.worker === null
            ? null
            : { ...cluster.pools.worker, hosts: named(cluster.pools.worker.hosts) },
      },
    },
  }
}
