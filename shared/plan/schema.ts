import { z } from 'zod'

/**
 * The plan: every decision of the operator, without secrets. This file is its shape; the rules between fields are in
 * `rules.ts`, the reading of YAML with positions in `read-plan.ts`.
 *
 * A field that is absent where the schema says `optional()` means "what the appliance itself offers as default", which
 * depends on the procedure variant (see `variants.ts`).
 */

/** Where a secret comes from. The secret itself never stands in a plan. */
export const secretReferenceSchema = z.union([
  z.strictObject({ env: z.string().min(1) }),
  z.strictObject({ prompt: z.string().min(1) }),
  z.strictObject({ vault: z.string().min(1) }),
  /** Made by Landfall on first use and kept in the vault under this name. */
  z.strictObject({ generate: z.string().min(1) }),
])
export type SecretReference = z.infer<typeof secretReferenceSchema>

/** The password that the ISO or the product is documented to start with; used once, only on explicit choice. */
export const initialPasswordSchema = z.union([z.literal('product-default'), secretReferenceSchema])

export const variantSchema = z.enum(['A', 'B', 'C', 'D'])
export type ProcedureVariant = z.infer<typeof variantSchema>

const ipv4 = z.ipv4()
const cidr4 = z.cidrv4()
const port = z.int().min(1).max(65535)
const hostName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/)
const identifier = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/)
const filePath = z.string().min(1)

const proxySchema = z.strictObject({
  http: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .default(null),
  https: z
    .url({ protocol: /^https?$/ })
    .nullable()
    .default(null),
  /** Added to what every site needs (node network, VIP, pod and service network, `.svc`, `.local`). */
  noProxy: z.array(z.string().min(1)).default([]),
  /** PEM files on this workstation. */
  caCerts: z.array(filePath).default([]),
})

const siteSchema = z.strictObject({
  name: identifier,
  /** The layer 2 network of the nodes and the VIP. */
  network: cidr4,
  gateway: ipv4.nullable().default(null),
  vip: z.union([z.literal('auto'), ipv4]),
  dns: z
    .strictObject({
      primary: ipv4.nullable().default(null),
      alternate: ipv4.nullable().default(null),
      searchDomain: hostName.nullable().default(null),
    })
    .prefault({}),
  ntp: z.array(z.string().min(1)).default([]),
  proxy: proxySchema.nullable().default(null),
})

const applianceSchema = z.strictObject({
  iso: filePath.nullable().default(null),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .default(null),
  variant: z.union([z.literal('auto'), variantSchema]).default('auto'),
  /** Variant D: the signed content bundle that belongs to the slim ISO. */
  content: z
    .strictObject({ bundle: filePath, signature: filePath.nullable().default(null) })
    .nullable()
    .default(null),
  /** Pack bundles (`.zst`) that are uploaded at the end. */
  packs: z.array(filePath).default([]),
})

const platformSchema = z.strictObject({
  /** `none`: the operator boots the nodes from the ISO; Landfall waits for them. */
  kind: z.enum(['none']).default('none'),
})

const accessSchema = z.strictObject({
  user: z.string().min(1).default('kairos'),
  initialPassword: initialPasswordSchema.default('product-default'),
  /** `null` keeps the initial password, which is refused when that is the product's default. */
  newPassword: secretReferenceSchema.nullable(),
  /** Private key file on this workstation, used for SSH before the password. */
  sshKey: filePath.nullable().default(null),
  sshKeyPassphrase: secretReferenceSchema.nullable().default(null),
  /** Ask the SSH agent of this workstation. */
  useSshAgent: z.boolean().default(false),
})

const nicSchema = z.strictObject({
  /** `auto`: the interface that carries the node's address. */
  name: z.string().min(1).default('auto'),
  /** `keep` changes nothing. */
  mode: z.enum(['keep', 'dhcp', 'static']).default('keep'),
  address: ipv4.nullable().default(null),
  /** Prefix length or dotted mask; default is that of `site.network`. */
  mask: z
    .union([z.int().min(8).max(31), ipv4])
    .nullable()
    .default(null),
  gateway: ipv4.nullable().default(null),
  mtu: z.int().min(576).max(9216).nullable().default(null),
  vlan: z.int().min(1).max(4094).nullable().default(null),
})

const nodeSchema = z.strictObject({
  /** Name in every screen and message. */
  name: identifier,
  /** Where the node answers now. */
  address: ipv4,
  leader: z.boolean().default(false),
  /** Host name the node shall have; default is `name`. */
  hostName: hostName.nullable().default(null),
  nic: nicSchema.prefault({}),
  /** Overrides of `site.dns` and `site.ntp`. */
  dns: siteSchema.shape.dns.unwrap().nullable().default(null),
  ssh: z.strictObject({ port: port.default(22) }).prefault({}),
  localUi: z.strictObject({ port: port.default(5080) }).prefault({}),
  /** Proof that the machine at this address is the one that is meant; what is given must match. */
  expect: z
    .strictObject({
      mac: z
        .string()
        .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/)
        .nullable()
        .default(null),
      edgeHostId: z.string().min(1).nullable().default(null),
    })
    .prefault({}),
})

/** Kubernetes label keys and values, `metadata.labels` of the API. */
const labels = z.record(
  z.string().regex(/^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/),
  z
    .string()
    .max(63)
    .regex(/^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/),
)

const taintSchema = z.strictObject({
  key: z.string().min(1),
  value: z.string().default(''),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']),
})

const poolHostSchema = z.strictObject({
  node: identifier,
  /** Interface that Kubernetes uses, `auto` lets the appliance choose. */
  nic: z.string().min(1).default('auto'),
  /** Host name in the cluster; default is the node's host name. */
  hostName: hostName.nullable().default(null),
})

const poolShape = {
  labels: labels.default({}),
  taints: z.array(taintSchema).default([]),
  architecture: z.enum(['amd64', 'arm64']).default('amd64'),
}

const controlPlanePoolSchema = z.strictObject({
  name: identifier.default('control-plane-pool'),
  allowWorkerCapability: z.boolean().default(true),
  ...poolShape,
  /** Default: all nodes that no other pool names. */
  hosts: z.array(poolHostSchema).min(1).optional(),
})

const workerPoolSchema = z.strictObject({
  name: identifier.default('worker-pool'),
  ...poolShape,
  hosts: z.array(poolHostSchema).min(1),
})

const registrySchema = z.strictObject({
  /** The seed's "In Cluster Registry": `true` is the internal Zot. */
  inCluster: z.boolean().default(true),
  endpoint: z.string().min(1).optional(),
  port: port.default(30003),
  baseContentPath: z.string().min(1).default('spectro-content'),
  username: z.string().min(1).default('admin'),
  password: secretReferenceSchema,
  /** PEM file of the CA that signed the registry's certificate. */
  caCert: filePath.nullable().default(null),
  /** Variant A: PEM files, or `generate: true`. */
  cert: filePath.nullable().default(null),
  key: filePath.nullable().default(null),
  generate: z.boolean().default(false),
  /** GiB. */
  storageSize: z.int().min(10).optional(),
  rootDomain: z.string().min(1).optional(),
  imageReplacementRules: z.string().nullable().default(null),
  imagePullSecret: secretReferenceSchema.nullable().default(null),
})

const clusterSchema = z.strictObject({
  /** Cannot be changed later. */
  name: identifier.max(32),
  tags: z.record(z.string().min(1), z.string()).default({}),
  podCidr: cidr4.optional(),
  serviceCidr: cidr4.optional(),
  ubuntuProToken: secretReferenceSchema.nullable().default(null),
  /** The second disk, the same path on every node. Its content is destroyed by the installation. */
  storagePoolDrive: z
    .string()
    .regex(/^\/dev\/\S+$/)
    .default('/dev/sdb'),
  csiPlacementCount: z.int().optional(),
  mongoReplicas: z.int().default(3),
  registry: registrySchema,
  ntp: z.array(z.string().min(1)).optional(),
  /** OpenSSH public keys for the user `spectro`. */
  sshKeys: z.array(z.string().min(1)).default([]),
  overlay: z.strictObject({ cidr: cidr4 }).nullable().default(null),
  pools: z
    .strictObject({
      controlPlane: controlPlanePoolSchema.prefault({}),
      worker: workerPoolSchema.nullable().default(null),
    })
    .prefault({}),
  /** Values for further profile variables that this release of the appliance offers, by variable name. */
  variables: z.record(z.string().min(1), z.string()).default({}),
})

const consoleSchema = z.strictObject({
  email: z.email(),
  username: z.string().min(1).default('admin'),
  initialPassword: initialPasswordSchema.default('product-default'),
  newPassword: secretReferenceSchema,
})

export const planSchema = z.strictObject({
  version: z.literal(1),
  /** age-encrypted vault file, relative to the plan; default is the plan's name with `.vault.age`. */
  vault: filePath.nullable().default(null),
  site: siteSchema,
  appliance: applianceSchema.prefault({}),
  platform: platformSchema.prefault({}),
  access: accessSchema,
  nodes: z.array(nodeSchema).min(1),
  cluster: clusterSchema,
  console: consoleSchema,
})

/** A plan with the defaults that do not depend on the appliance filled in. */
export type Plan = z.infer<typeof planSchema>
export type PlanNode = Plan['nodes'][number]
export type PoolHost = z.infer<typeof poolHostSchema>
