import { z } from 'zod'

/**
 * The plan: every decision of the operator, without secrets. This file is its shape; the rules between fields are in
 * `rules.ts`, the reading of YAML with positions in `read-plan.ts`.
 *
 * A field that is absent where the schema says `optional()` means "what the appliance itself offers as default", which
 * depends on the procedure variant (see `variants.ts`).
 *
 * Every message has two halves, joined by {@link MESSAGE_ARROW}: what is wrong (a predicate that continues the name of
 * the field), and what to write instead.
 */

/** Stands between what is wrong and what to write instead, in the messages of this schema. */
export const MESSAGE_ARROW = ' → '

/** An error map for a field: `wrong` continues "site.vip …", `write` is an instruction. */
function says(wrong: string, write: string) {
  return (issue: { input?: unknown }): string =>
    `${issue.input === undefined ? 'is missing' : wrong}${MESSAGE_ARROW}${write}`
}

function section<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape).join(', ')
  return z.strictObject(shape, {
    error: says('is not a mapping of keys to values', `write it as a block with the keys ${keys}`),
  })
}

function list<Item extends z.ZodType>(item: Item, example: string) {
  return z.array(item, { error: says('is not a list', `write a YAML list, for example ${example}`) })
}

function flag() {
  return z.boolean({ error: says('is neither true nor false', 'write true or false, without quotes') })
}

function wholeNumber(minimum: number, maximum: number, unit = '') {
  const range = `a whole number from ${minimum} to ${maximum}${unit}`
  const error = says(`is not ${range}`, `write ${range}, without quotes`)
  return z.int({ error }).min(minimum, { error }).max(maximum, { error })
}

function text(what: string, example: string) {
  const error = says(`is not ${what}`, `write ${what}, for example ${example}`)
  return z.string({ error }).min(1, { error })
}

function pattern(expression: RegExp, maximum: number, what: string, example: string) {
  const error = says(`is not ${what}`, `write ${what}, for example ${example}`)
  return z.string({ error }).max(maximum, { error }).regex(expression, { error })
}

const SECRET_FORMS =
  '{ env: VARIABLE }, { prompt: "question" }, { vault: name } or { generate: name } (made by Landfall, kept in the vault)'

const secretForm = (key: string) =>
  z.string({
    error: says(`is not a name`, `write a name after "${key}:", not a secret`),
  })
const secretName = (key: string) =>
  secretForm(key).regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
    error: says(
      'is not the name of a secret',
      `write a name of at most 64 letters, digits, "-", "_" and "." after "${key}:", not the secret itself`,
    ),
  })

/** Where a secret comes from. The secret itself never stands in a plan. */
export const secretReferenceSchema = z.union(
  [
    z.strictObject({
      env: secretForm('env').regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, {
        error: says(
          'is not the name of an environment variable',
          'write a name of letters, digits and "_" after "env:", not the secret itself',
        ),
      }),
    }),
    z.strictObject({
      prompt: secretForm('prompt').min(1, {
        error: says('is empty', 'write the question that Landfall asks when it starts'),
      }),
    }),
    z.strictObject({ vault: secretName('vault') }),
    /** Made by Landfall on first use and kept in the vault under this name. */
    z.strictObject({ generate: secretName('generate') }),
  ],
  {
    error: says(
      'is not a reference to a secret; secrets never stand in the plan',
      `write one of ${SECRET_FORMS}`,
    ),
  },
)
export type SecretReference = z.infer<typeof secretReferenceSchema>

/** The password that the ISO or the product is documented to start with; used once, only on explicit choice. */
export const initialPasswordSchema = z.union([z.literal('product-default'), secretReferenceSchema], {
  error: says(
    'is neither product-default nor a reference to a secret; secrets never stand in the plan',
    `write product-default, or one of ${SECRET_FORMS}`,
  ),
})

export const variantSchema = z.enum(['A', 'B', 'C', 'D'], {
  error: says(
    'is not a variant of the installation procedure',
    'write auto (Landfall looks at the ISO and the nodes) or A, B, C or D',
  ),
})
export type ProcedureVariant = z.infer<typeof variantSchema>

function ipv4(example: string, alternative = '') {
  return z.ipv4({
    error: says(
      'is not an IPv4 address',
      `write ${alternative}four numbers from 0 to 255 with dots between them, for example ${example}`,
    ),
  })
}

function cidr4(example: string) {
  return z.cidrv4({
    error: says(
      'is not an IPv4 network',
      `write a network address, a slash and the prefix length, for example ${example}`,
    ),
  })
}

const port = wholeNumber(1, 65535)
const hostName = pattern(
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/,
  253,
  'a host name of lower-case letters, digits, "-" and "." (RFC 1123)',
  'palette-1.example.com',
)
const server = pattern(
  /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/,
  253,
  'a host name or an IPv4 address, without scheme and port',
  'ntp1.example.com',
)

function identifier(what: string, example: string, maximum = 63) {
  return pattern(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
    maximum,
    `${what} of at most ${maximum} lower-case letters, digits and "-", with a letter or digit at both ends`,
    example,
  )
}

const filePath = text('the path of a file on this workstation', './palette.iso')
const path = (example: string) => text('the path of a file on this workstation', example)

const proxyUrl = z.url({
  protocol: /^https?$/,
  error: says(
    'is not the URL of a proxy',
    'write http:// or https://, host and port, for example http://10.10.200.5:3128, without user and password',
  ),
})

const proxySchema = section({
  http: proxyUrl.nullable().default(null),
  https: proxyUrl.nullable().default(null),
  /** Added to what every site needs (node network, VIP, pod and service network, `.svc`, `.local`). */
  noProxy: list(
    pattern(/^\S+$/, 253, 'a host name, domain, address or network without spaces', '.example.com'),
    '[.example.com, 10.0.0.0/8]',
  ).default([]),
  /** PEM files on this workstation. */
  caCerts: list(filePath, '[./proxy-ca.pem]').default([]),
})

const dnsSchema = section({
  primary: ipv4('10.10.200.2').nullable().default(null),
  alternate: ipv4('10.10.200.3').nullable().default(null),
  searchDomain: hostName.nullable().default(null),
})

const timeServers = list(server, '[ntp1.example.com, 10.10.200.2]')

const siteSchema = section({
  /** Label of the site in screens, reports and generated file names. */
  name: identifier('a name', 'rig-7'),
  /** The layer 2 network of the nodes and the VIP. */
  network: cidr4('10.10.200.0/24'),
  /** Default gateway of the nodes. Needed when a node gets a static address; it may stand at the node instead. */
  gateway: ipv4('10.10.200.1').nullable().default(null),
  /** Virtual IP of the cluster: Kubernetes API, system console and internal registry answer on it. `auto`: a free one is looked for. */
  vip: z.union([z.literal('auto'), ipv4('10.10.200.100')], {
    error: says(
      'is neither auto nor an IPv4 address',
      'write auto, or a free address of site.network, for example 10.10.200.100',
    ),
  }),
  /** Before the cluster is made, nodes take the VIP for some seconds and reach it from each other. `false`: they do not. */
  vipProof: flag().default(true),
  /** Name servers of every node that does not have its own. */
  dns: dnsSchema.prefault({}),
  /** Time servers of every node that does not have its own. */
  ntp: timeServers.default([]),
  proxy: proxySchema.nullable().default(null),
})

const applianceSchema = section({
  /** The appliance's ISO. `null` when the nodes run it already. */
  iso: path('./palette.iso').nullable().default(null),
  /** SHA-256 that the vendor publishes for the ISO, lower-case hexadecimal. */
  sha256: pattern(/^[0-9a-f]{64}$/, 64, 'a SHA-256 digest of 64 lower-case hexadecimal digits', '9f86d081…')
    .nullable()
    .default(null),
  /** Generation of the procedure (palette.md, "Doc generations"). `auto` asks the nodes. */
  variant: z
    .union([z.literal('auto'), variantSchema], {
      error: says(
        'is not a variant of the installation procedure',
        'write auto (Landfall looks at the ISO and the nodes) or A, B, C or D',
      ),
    })
    .default('auto'),
  /** Variant D: the signed content bundle that belongs to the slim ISO. */
  content: section({
    bundle: path('./palette-appliance.tar.zst'),
    signature: path('./palette-appliance.tar.zst.sig.bin').nullable().default(null),
  })
    .nullable()
    .default(null),
  /** Pack bundles (`.zst`) that are uploaded at the end. */
  packs: list(path('./packs/base.tar.zst'), '[./packs/base.tar.zst]').default([]),
})

const platformSchema = section({
  /** `none`: the operator boots the nodes from the ISO; Landfall waits for them. */
  kind: z
    .enum(['none'], {
      error: says(
        'is not a platform that this release can drive',
        'write none: you boot the nodes from the ISO, Landfall waits for them and does the rest',
      ),
    })
    .default('none'),
})

const jumpHostSchema = section({
  address: server,
  port: port.default(22),
  user: pattern(
    /^[A-Za-z_][A-Za-z0-9._-]{0,63}$/,
    64,
    'an account name of letters, digits, "_", "." and "-"',
    'operator',
  ),
  /** Private key file on this workstation, tried before the password. */
  sshKey: path('~/.ssh/id_ed25519').nullable().default(null),
  sshKeyPassphrase: secretReferenceSchema.nullable().default(null),
  /** Ask the SSH agent of this workstation. */
  useSshAgent: flag().default(false),
  password: secretReferenceSchema.nullable().default(null),
})

const accessSchema = section({
  /** Operating-system account of the nodes, also the account of their Local UI. */
  user: pattern(
    /^[a-z_][a-z0-9_-]{0,31}$/,
    32,
    'a Linux account name of lower-case letters, digits, "_" and "-"',
    'kairos',
  ).default('kairos'),
  /** The password that the account has when Landfall arrives. */
  initialPassword: initialPasswordSchema.default('product-default'),
  /** `null` keeps the initial password, which is refused when that is the product's default. */
  newPassword: secretReferenceSchema.nullable(),
  /** Private key file on this workstation, used for SSH before the password. */
  sshKey: path('~/.ssh/id_ed25519').nullable().default(null),
  sshKeyPassphrase: secretReferenceSchema.nullable().default(null),
  /** Ask the SSH agent of this workstation. */
  useSshAgent: flag().default(false),
  /** OpenSSH public keys that the account shall accept, besides those that it has. */
  authorizedKeys: list(
    text('an OpenSSH public key on one line', 'ssh-ed25519 AAAA… ops@example.com'),
    '[ssh-ed25519 …]',
  ).default([]),
  /**
   * Machine through which the nodes are reached when this workstation cannot reach them itself: SSH, Local UI and everything
   * else goes through one SSH connection to it.
   */
  jumpHost: jumpHostSchema.nullable().default(null),
})

const interfaceName = pattern(
  /^[A-Za-z0-9][A-Za-z0-9._@:-]{0,14}$/,
  15,
  'auto or the name of a network interface of at most 15 characters',
  'eth0',
)

const nicSchema = section({
  /** `auto`: the interface that carries the node's address. */
  name: interfaceName.default('auto'),
  /** `keep` changes nothing. */
  mode: z
    .enum(['keep', 'dhcp', 'static'], {
      error: says(
        'is not a way to configure the interface',
        'write keep (change nothing), dhcp or static (then "address" too)',
      ),
    })
    .default('keep'),
  /** Address the node shall have, with mode `static`. */
  address: ipv4('10.10.200.11').nullable().default(null),
  /** Prefix length or dotted mask; default is that of `site.network`. */
  mask: z
    .union([wholeNumber(8, 31), ipv4('255.255.255.0', 'a prefix length from 8 to 31, or ')], {
      error: says(
        'is not a network mask',
        'write a prefix length from 8 to 31, for example 24, or a dotted mask, for example 255.255.255.0',
      ),
    })
    .nullable()
    .default(null),
  gateway: ipv4('10.10.200.1').nullable().default(null),
  /** Bytes. */
  mtu: wholeNumber(576, 9216, ' bytes').nullable().default(null),
  /** IEEE 802.1Q identifier when the node's port is a trunk. */
  vlan: wholeNumber(1, 4094).nullable().default(null),
})

const nodeName = identifier('the name of a node', 'n1')

const nodeSchema = section({
  /** Name in every screen and message. */
  name: nodeName,
  /** Where the node answers now. */
  address: ipv4('10.10.200.11'),
  /** The host that hands out link tokens and starts the cluster; exactly one. */
  leader: flag().default(false),
  /** Host name the node shall have; default is `name`. */
  hostName: hostName.nullable().default(null),
  nic: nicSchema.prefault({}),
  /** Instead of `site.dns`, for this node. */
  dns: dnsSchema.nullable().default(null),
  /** Instead of `site.ntp`, for this node. */
  ntp: timeServers.nullable().default(null),
  /**
   * The node's own name, written once more: the storage pool drive of this node holds data, and that data may be
   * destroyed by the installation.
   */
  confirmErase: nodeName.nullable().default(null),
  ssh: section({ port: port.default(22) }).prefault({}),
  localUi: section({ port: port.default(5080) }).prefault({}),
  /** Proof that the machine at this address is the one that is meant; what is given must match. */
  expect: section({
    mac: pattern(
      /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/,
      17,
      'a MAC address of six lower-case hexadecimal pairs with ":" between them',
      '52:54:00:12:34:56',
    )
      .nullable()
      .default(null),
    edgeHostId: text('the Edge host identifier that the node shows', 'edge-1234').nullable().default(null),
  }).prefault({}),
})

const labelKey = pattern(
  /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
  317,
  'a Kubernetes label key',
  'example.com/rack',
)
const labelValue = pattern(
  /^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/,
  63,
  'a Kubernetes label value of at most 63 letters, digits, "-", "_" and "." (quote numbers and true/false)',
  'r12',
)

/** Kubernetes label keys and values, `metadata.labels` of the API. */
const labels = z.record(labelKey, labelValue, {
  error: (issue) =>
    says(
      issue.code === 'invalid_key' ? 'is not a Kubernetes label key' : 'is not a mapping of labels',
      'write "key: value" lines; keys such as rack or example.com/rack, values of letters, digits, "-", "_" and "."',
    )(issue),
})

const taintSchema = section({
  key: labelKey,
  value: labelValue.default(''),
  effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute'], {
    error: says('is not the effect of a taint', 'write NoSchedule, PreferNoSchedule or NoExecute'),
  }),
})

const poolHostSchema = section({
  node: nodeName,
  /** Interface that Kubernetes uses, `auto` lets the appliance choose. */
  nic: interfaceName.default('auto'),
  /** Host name in the cluster; default is the node's host name. */
  hostName: hostName.nullable().default(null),
})

const poolHosts = z
  .array(poolHostSchema, { error: says('is not a list of hosts', 'write a YAML list of "- node: NAME"') })
  .min(1, { error: says('names no host', 'name at least one node: "- node: NAME"; a pool cannot be empty') })

const poolShape = {
  labels: labels.default({}),
  taints: list(taintSchema, '[{ key: role, value: db, effect: NoSchedule }]').default([]),
  architecture: z
    .enum(['amd64', 'arm64'], {
      error: says('is not an architecture of the appliance', 'write amd64 or arm64'),
    })
    .default('amd64'),
}

const controlPlanePoolSchema = section({
  name: identifier('the name of a pool', 'control-plane-pool').default('control-plane-pool'),
  /** Needed when there is no worker pool: somebody has to run the workloads. */
  allowWorkerCapability: flag().default(true),
  ...poolShape,
  /** Default: all nodes that no other pool names. */
  hosts: poolHosts.optional(),
})

const workerPoolSchema = section({
  name: identifier('the name of a pool', 'worker-pool').default('worker-pool'),
  ...poolShape,
  hosts: poolHosts,
})

const registrySchema = section({
  /** The seed's "In Cluster Registry": `true` is the internal Zot. */
  inCluster: flag().default(true),
  /** External registry only. Absent: the VIP, as the appliance's own default macro says. */
  endpoint: server.optional(),
  /** NodePort of the internal registry, or port of the external one. */
  port: port.default(30003),
  /** Directory in the registry that receives the content. */
  baseContentPath: pattern(
    /^[a-z0-9]+([._/-][a-z0-9]+)*$/,
    255,
    'a registry path of lower-case letters, digits and single ".", "_", "-" and "/"',
    'spectro-content',
  ).default('spectro-content'),
  username: text('the user of the registry', 'admin').default('admin'),
  password: secretReferenceSchema,
  /** PEM file of the CA that signed the registry's certificate. */
  caCert: path('./registry-ca.pem').nullable().default(null),
  /** Variant A: PEM files, or `generate: true`. */
  cert: path('./registry.pem').nullable().default(null),
  key: path('./registry-key.pem').nullable().default(null),
  /** Variant A: Landfall makes key and certificate for the VIP. */
  generate: flag().default(false),
  /** GiB. */
  storageSize: wholeNumber(10, 65536, ' (GiB)').optional(),
  /** Absent: the VIP, as the appliance's own default macro says. */
  rootDomain: server.optional(),
  /** External registry only, in the words of the appliance's form. */
  imageReplacementRules: text('a rule for image names', '"all: registry.example.com:5000/spectro-content"')
    .nullable()
    .default(null),
  imagePullSecret: secretReferenceSchema.nullable().default(null),
})

const variableName = text('the name of a profile variable', 'csi.placementCount')

const clusterSchema = section({
  /** Cannot be changed later. */
  name: identifier('the name of the cluster', 'palette', 32),
  tags: z
    .record(
      text('the key of a tag', 'owner'),
      z.string({ error: says('is not a text', 'write the value of the tag in quotes, for example "7"') }),
      { error: says('is not a mapping of tags', 'write "key: value" lines, for example "owner: platform"') },
    )
    .default({}),
  podCidr: cidr4('100.64.0.0/18').optional(),
  serviceCidr: cidr4('100.64.64.0/18').optional(),
  ubuntuProToken: secretReferenceSchema.nullable().default(null),
  /** The second disk, the same path on every node. Its content is destroyed by the installation. */
  storagePoolDrive: pattern(
    /^\/dev\/[A-Za-z0-9][A-Za-z0-9._/:-]*$/,
    255,
    'the path of a disk',
    '/dev/sdb',
  ).default('/dev/sdb'),
  /** Copies of every storage volume; newer appliances only. Default: the same as `mongoReplicas`. */
  csiPlacementCount: wholeNumber(1, 3).optional(),
  /** Members of the MongoDB replica set. */
  mongoReplicas: wholeNumber(1, 3).default(3),
  registry: registrySchema,
  /** Time servers of the cluster; they replace those of the nodes. Default: `site.ntp`. */
  ntp: timeServers.optional(),
  /** OpenSSH public keys for the user `spectro`. */
  sshKeys: list(
    text('an OpenSSH public key on one line', 'ssh-ed25519 AAAA… ops@example.com'),
    '[ssh-ed25519 …]',
  ).default([]),
  /** VXLAN overlay between the nodes. Can only be chosen when the cluster is created. */
  overlay: section({ cidr: cidr4('100.64.192.0/23') })
    .nullable()
    .default(null),
  pools: section({
    controlPlane: controlPlanePoolSchema.prefault({}),
    worker: workerPoolSchema.nullable().default(null),
  }).prefault({}),
  /** Values for further profile variables that this release of the appliance offers, by variable name. */
  variables: z
    .record(
      variableName,
      z.string({ error: says('is not a text', 'write the value in quotes, for example "3" or "true"') }),
      { error: says('is not a mapping of variables', 'write "name: value" lines') },
    )
    .default({}),
  /** The same for variables whose value is a secret. */
  secretVariables: z
    .record(variableName, secretReferenceSchema, {
      error: says(
        'is not a mapping of variables',
        `write "name: REFERENCE" lines, REFERENCE being one of ${SECRET_FORMS}`,
      ),
    })
    .default({}),
})

const consoleSchema = section({
  /** Address of the system administrator: login name, notifications, password recovery. */
  email: z.email({ error: says('is not an e-mail address', 'write an address such as ops@example.com') }),
  username: text('the user of the system console', 'admin').default('admin'),
  initialPassword: initialPasswordSchema.default('product-default'),
  newPassword: secretReferenceSchema,
})

export const planSchema = section({
  version: z.literal(1, {
    error: says('is not a version of the plan format that this Landfall knows', 'write version: 1'),
  }),
  /** age-encrypted vault file, relative to the plan; default is the plan's name with `.vault.age`. */
  vault: path('./site.vault.age').nullable().default(null),
  site: siteSchema,
  appliance: applianceSchema.prefault({}),
  platform: platformSchema.prefault({}),
  access: accessSchema,
  nodes: z
    .array(nodeSchema, { error: says('is not a list of nodes', 'write a YAML list of "- name: …" blocks') })
    .min(1, { error: says('names no node', 'write at least one node with name and address') }),
  cluster: clusterSchema,
  console: consoleSchema,
})

/** A plan with the defaults that do not depend on the appliance filled in. */
export type Plan = z.infer<typeof planSchema>
export type PlanNode = Plan['nodes'][number]
export type PoolHost = z.infer<typeof poolHostSchema>
