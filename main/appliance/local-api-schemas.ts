import { z } from 'zod'

/*
 * Answers of the Local UI API (Swagger 2.0 "Local Management APIs" v1, palette.md §7.3), read tolerantly: unknown
 * fields are dropped (kept where the object is sent back), missing and `null` fields become `undefined`, `null` lists
 * become empty ones and `null` items disappear. Enumerations are plain strings, because agents of other versions use
 * other words (palette.md §10 no. 4): compare them case-insensitively.
 */

const text = z
  .union([z.string(), z.number(), z.boolean()])
  .nullish()
  .transform((value) => (value == null ? undefined : String(value)))

const number = z
  .union([
    z.number(),
    z
      .string()
      .regex(/^-?\d+(\.\d+)?$/u)
      .transform(Number),
  ])
  .nullish()
  .transform((value) => value ?? undefined)

const boolean = z
  .union([z.boolean(), z.enum(['true', 'false']).transform((value) => value === 'true')])
  .nullish()
  .transform((value) => value ?? undefined)

function list<Item extends z.ZodType>(item: Item) {
  return z
    .array(z.union([z.null(), item]))
    .nullish()
    .transform((items) => (items ?? []).filter((entry) => entry !== null) as z.output<Item>[])
}

function optional<Value extends z.ZodType>(value: Value) {
  return value.nullish().transform((parsed) => (parsed ?? undefined) as z.output<Value> | undefined)
}

const texts = list(z.string())

const metadata = z.object({
  /** Of an edge host: its unique id, the `hostUid` of the cluster payload. */
  id: text,
  uid: text,
  name: text,
  creationTimestamp: text,
})

const health = z.object({
  /** `Healthy` or `Unhealthy`. */
  status: text,
  reason: text,
})

const condition = z.object({
  type: text,
  status: text,
  reason: text,
  message: text,
  lastTransitionTime: text,
})

/** `GET /v1/ping` */
export const pingSchema = z.object({ msg: text })

const userToken = z.object({ Authorization: z.string().min(1), RefreshToken: text })

/** `POST /v1/users/default/login` */
export const loginSchema = z.object({ Token: userToken, IsFirstLogin: boolean })

/** `POST /v1/users/default/token/renewal` */
export const renewalSchema = userToken

/** `GET /v1/users/current` */
export const currentUserSchema = z.object({ userName: text, sshKeys: texts, disablePasswordUpdate: boolean })

/** `GET /v1/edge-mgmt/settings` */
export const settingsSchema = z.object({
  /** `airgap` or `connected`. */
  installationMode: text,
  /** `local` or `central`. */
  managementMode: text,
  featureFlags: optional(z.record(z.string(), z.boolean().nullable())),
})

const hostNic = z.object({
  nicName: text,
  ip: text,
  subnet: text,
  gateway: text,
  dns: texts,
  macAddr: text,
  isDefault: boolean,
})

const partition = z.object({
  mountPoint: text,
  fileSystemType: text,
  /** Spaces in GB. */
  totalSpace: number,
  usedSpace: number,
  freeSpace: number,
})

/** `GET /v1/edge-mgmt/edgehosts/current` */
export const edgeHostSchema = z.object({
  metadata: optional(metadata),
  spec: optional(
    z.object({
      hardwareSpec: optional(
        z.object({
          archType: text,
          cpu: optional(z.object({ cores: number })),
          memory: optional(z.object({ sizeInMB: number })),
          disks: list(
            z.object({
              controller: text,
              vendor: text,
              /** In GB. */
              size: number,
              partitions: list(partition),
            }),
          ),
          os: optional(z.object({ family: text, kernel: text, kernelVersion: text, version: text })),
        }),
      ),
      networkInfo: list(hostNic),
      /** `init`, `controlplane`, `worker`, `unknown`. */
      nodeRole: text,
      hostInfo: optional(z.object({ hostState: text, hostType: text, secureBoot: boolean })),
      connectionMode: text,
      managementMode: text,
    }),
  ),
  status: optional(
    z.object({
      agentVersion: text,
      hostName: text,
      dns: optional(z.object({ nameservers: texts, searchDomains: texts })),
      ntp: optional(z.object({ ntpServers: texts, fallbackNtpServers: texts })),
      /** `pending`, `inprogress`, `configured`. */
      configurationStatus: text,
      /** True once the host belongs to a cluster. */
      isClusterPhase: boolean,
    }),
  ),
})

/** `GET /v1/edge-mgmt/edgehosts/current/configurations` */
export const hostConfigurationsSchema = z.object({
  httpProxy: text,
  httpsProxy: text,
  noProxy: text,
  caCerts: texts,
})

/** `GET /v1/edge-mgmt/edgehosts/current/configurations/status` */
export const hostConfigurationStatusSchema = z.object({
  /** `Not Configured`, `In Progress`, `Configured`, `Failed`. */
  state: text,
  errorMessage: text,
})

/** `POST /v1/edge-mgmt/edgehosts/current/link/generate-token` */
export const linkTokenSchema = z.object({
  /** A secret, Base64. */
  token: z.string().min(1),
  /** Seconds between two tokens. */
  interval: number,
  /** Seconds for which this token is still valid. */
  remainingTime: number,
})

/** `GET /v1/edge-mgmt/edgehosts/current/link/status`, `POST …/link` */
export const linkStatusSchema = z.object({
  /** `Pending`, `InProgress`, `Completed`, `Failed`. */
  status: text,
  errorMessage: text,
  peers: list(
    z.object({
      id: text,
      ip: text,
      overlayIP: text,
      localUIPort: text,
      /** Free text; seen: leader, follower. */
      role: text,
      /** Free text; seen: Ready, In-Use. */
      status: text,
      /** Free text; seen: Synced. */
      contentSyncStatus: text,
      health: optional(health),
      nodeRole: text,
      config: optional(edgeHostSchema),
    }),
  ),
})

/** `POST /v1/edge-mgmt/edgehosts/current/actions/upload-content` */
export const uploadResultSchema = z.object({ message: text, uploadPath: text })

/** `GET /v1/edge-mgmt/edgehosts/current/uploaded-content/details` */
export const uploadedContentSchema = z.object({
  fileName: text,
  /** Hex. */
  sha256Hash: text,
  sizeInBytes: number,
  uploadDateTime: text,
})

/** `GET /v1/edge-mgmt/edgehosts/current/actions/content/signing-public-key` */
export const contentSigningKeySchema = z.object({
  /** Base64. */
  key: text,
  description: text,
  creationTimestamp: text,
})

const profileVariable = z.object({
  name: z.string(),
  displayName: text,
  description: text,
  value: text,
  defaultValue: text,
  /** e.g. string, number, boolean, ipv4cidr, base64. */
  format: text,
  /** `text`, `dropdown`, `multiline`. */
  inputType: text,
  options: list(z.object({ label: text, value: text, description: text, default: boolean })),
  regex: text,
  required: boolean,
  hidden: boolean,
  immutable: boolean,
  isSensitive: boolean,
})

/** `GET /v1/edge-mgmt/clusters/archive/{embedded,overridden}/details` */
export const archiveDetailsSchema = z.object({
  archiveUploadPath: text,
  clusterProfileDetails: list(
    z.object({
      profileUid: text,
      profileName: text,
      profileType: text,
      profileVersion: text,
      profileDescription: text,
      packs: list(z.object({ name: text, version: text })),
      variables: list(profileVariable),
    }),
  ),
})

/** `POST /v1/edge-mgmt/cluster/profiles/variables/validate` */
export const variableValidationSchema = z.object({
  variables: list(
    z.object({
      name: text,
      profileUid: text,
      profileName: text,
      isValid: boolean,
      regex: text,
      validationFailureReason: text,
    }),
  ),
})

/** The answer `{message}` of everything that is only accepted. */
export const acceptedSchema = z.object({ message: text })

const taint = z.looseObject({
  key: z.string().optional(),
  value: z.string().optional(),
  effect: z.string().optional(),
})

const poolHost = z.looseObject({
  hostUid: z.string().optional(),
  hostAddress: z.string().optional(),
  hostName: z.string().optional(),
})

const machinePool = z.looseObject({
  name: z.string().optional(),
  isControlPlane: z.boolean().optional(),
  useControlPlaneAsWorker: z.boolean().optional(),
  labels: z.array(z.string()).nullish(),
  additionalLabels: z.record(z.string(), z.string()).nullish(),
  taints: z.array(taint).nullish(),
  size: z.number().optional(),
  machinePoolProperties: z.looseObject({ archType: z.string().optional() }).nullish(),
  updateStrategy: z.looseObject({ type: z.string().optional() }).nullish(),
  hosts: z.array(poolHost).nullable(),
})

/**
 * `POST` and `GET /v1/edge-mgmt/cluster`: the create payload and what is read back (palette.md §7.3.1). Unknown
 * fields are kept.
 */
export const clusterConfigurationSchema = z.looseObject({
  metadata: z.looseObject({
    name: z.string().optional(),
    labels: z.record(z.string(), z.string()).nullish(),
    tags: z.record(z.string(), z.unknown()).nullish(),
  }),
  spec: z.looseObject({
    archiveUploadPath: z.string().optional(),
    cloudConfig: z
      .looseObject({
        spec: z.looseObject({
          clusterConfig: z.looseObject({
            controlPlaneEndpoint: z
              .looseObject({ host: z.string().optional(), type: z.string().optional() })
              .nullish(),
            ntpServers: z.array(z.string()).nullish(),
            sshKeys: z.array(z.string()).nullish(),
            overlayNetworkConfiguration: z
              .looseObject({ enable: z.boolean().optional(), cidr: z.string().optional() })
              .nullish(),
          }),
          machinePoolConfig: z.array(machinePool).nullable(),
        }),
      })
      .nullish(),
    profileVariables: z
      .array(
        z.looseObject({
          name: z.string().optional(),
          value: z.string().optional(),
          profileUid: z.string().optional(),
        }),
      )
      .nullish(),
  }),
})

const nodePool = optional(z.object({ name: text, isControlPlane: boolean, archType: text }))

/** `GET /v1/edge-mgmt/cluster/details` */
export const clusterDetailsSchema = z.object({
  metadata: optional(metadata),
  spec: optional(
    z.object({
      vip: text,
      hostIDs: texts,
      ntpServers: texts,
      overlayCIDR: text,
      nodePools: list(
        z.object({
          pool: nodePool,
          hosts: list(z.object({ hostID: text, hostAddress: text, hostName: text })),
        }),
      ),
    }),
  ),
  status: optional(
    z.object({
      /** `Provisioning`, `Running`, `Deleting`, `Error`. */
      clusterState: text,
      clusterStateReason: text,
      health: optional(health),
      agentVersion: text,
      k8sVersion: text,
      isRebootPending: boolean,
      clusterConditions: list(condition),
      /** A secret: the admin kubeconfig. */
      kubeconfig: text,
      nodePools: list(
        z.object({
          pool: nodePool,
          nodes: list(
            z.object({
              nodeName: text,
              nodeState: text,
              ipv4: text,
              k8sVersion: text,
              health: optional(health),
            }),
          ),
        }),
      ),
    }),
  ),
})

/** `GET /v1/edge-mgmt/cluster/applications` */
export const clusterApplicationsSchema = z.object({
  clusterProfileTemplates: list(
    z.object({
      uid: text,
      name: text,
      type: text,
      version: text,
      packs: list(
        z.object({
          name: text,
          version: text,
          type: text,
          layer: text,
          /** Free text; seen: Running. */
          status: text,
          startTime: text,
          endTime: text,
          conditions: list(condition),
          contents: list(z.object({ name: text, contentType: text, syncStatus: text, syncMsg: text })),
        }),
      ),
    }),
  ),
})

/** `GET /v1/edge-mgmt/cluster/events` */
export const eventsSchema = z.object({
  items: list(
    z.object({
      metadata: optional(metadata),
      message: text,
      reason: text,
      severity: text,
      involvedObject: optional(z.object({ kind: text, name: text, namespace: text })),
      source: optional(z.object({ component: text, host: text })),
    }),
  ),
})

/** `GET /v1/edge-mgmt/events/lifecycle` */
export const lifecycleEventsSchema = z.object({
  edgeHostEvents: list(condition),
  clusterEvents: list(condition),
  expectedOrder: list(
    z.object({
      category: text,
      order: number,
      conditionsOrder: list(
        z.object({ type: text, typeLabel: text, reason: text, reasonLabel: text, order: number }),
      ),
    }),
  ),
})

const nodeCondition = z.object({ conditionType: text, status: text, reason: text, message: text })

/** `GET /v1/edge-mgmt/clusters/current/nodes` */
export const clusterNodesSchema = z.object({
  nodes: list(
    z.object({
      nodeName: text,
      edgeHostID: text,
      ipv4: text,
      kubeletVersion: text,
      osImage: text,
      kernelVersion: text,
      nodeStatus: optional(nodeCondition),
      nodeHealth: list(nodeCondition),
    }),
  ),
})

/** `GET /v1/edge-mgmt/cluster/registry/health` */
export const registryHealthSchema = z.object({
  /** `Healthy`, `Unhealthy`, `NotInstalled`. */
  State: text,
  Message: text,
  DiskCapacity: text,
  DiskUsed: text,
  DiskAvailable: text,
  UsagePercentage: text,
})

/** `GET /v1/edge-mgmt/cluster/registry/content/details` */
export const registryContentSchema = z.object({
  status: list(z.object({ name: text, version: text, contentType: text, size: text, dateAdded: text })),
})

/** `GET /v1/edge-mgmt/cluster/registry/content/sync-status/details` */
export const registrySyncStatusSchema = z.object({
  statusMessage: text,
  errors: optional(z.record(z.string(), z.string().nullable())),
  pendingItems: list(
    z.object({
      name: text,
      version: text,
      contentType: text,
      size: text,
      source: text,
      target: text,
      /** `pending`, `completed`, `failed`. */
      status: text,
      msg: text,
    }),
  ),
})

/** `GET /v1/edge-mgmt/network/interfaces` (newer agents) */
export const networkInterfacesSchema = z.object({
  interfaces: list(
    z.object({
      name: text,
      mac: text,
      /** `dhcp` or `static`. */
      type: text,
      ip: text,
      subnet: text,
      gateway: text,
      nameservers: texts,
      mtu: number,
      vlanID: text,
      /** `up`, `down`, `applying`, `unknown`. */
      status: text,
      configStatus: text,
      bondName: text,
      bridgeName: text,
      isClusterNIC: boolean,
    }),
  ),
})

/** `GET /v1/edge-mgmt/network/management-interface` (newer agents) */
export const managementInterfaceSchema = z.object({
  /** Empty: none was chosen explicitly. */
  selected: text,
  candidates: list(z.object({ name: text, type: text, ipAddress: text, status: text })),
})

export type CurrentUser = z.output<typeof currentUserSchema>
export type LocalSettings = z.output<typeof settingsSchema>
export type EdgeHost = z.output<typeof edgeHostSchema>
export type HostConfigurations = z.output<typeof hostConfigurationsSchema>
export type HostConfigurationStatus = z.output<typeof hostConfigurationStatusSchema>
export type LinkToken = z.output<typeof linkTokenSchema>
export type LinkStatus = z.output<typeof linkStatusSchema>
export type LinkPeer = LinkStatus['peers'][number]
export type UploadResult = z.output<typeof uploadResultSchema>
export type UploadedContent = z.output<typeof uploadedContentSchema>
export type ContentSigningKey = z.output<typeof contentSigningKeySchema>
export type ArchiveDetails = z.output<typeof archiveDetailsSchema>
export type ProfileVariable = z.output<typeof profileVariable>
export type VariableValidation = z.output<typeof variableValidationSchema>
export type ClusterConfiguration = z.input<typeof clusterConfigurationSchema>
export type ClusterDetails = z.output<typeof clusterDetailsSchema>
export type ClusterApplications = z.output<typeof clusterApplicationsSchema>
export type ClusterEvents = z.output<typeof eventsSchema>
export type LifecycleEvents = z.output<typeof lifecycleEventsSchema>
export type ClusterNodes = z.output<typeof clusterNodesSchema>
export type RegistryHealth = z.output<typeof registryHealthSchema>
export type RegistryContent = z.output<typeof registryContentSchema>
export type RegistrySyncStatus = z.output<typeof registrySyncStatusSchema>
export type NetworkInterface = z.output<typeof networkInterfacesSchema>['interfaces'][number]
export type ManagementInterface = z.output<typeof managementInterfaceSchema>

/** What is filled in for one profile variable; values are always strings (palette.md §7.3.1). */
export interface VariableValue {
  name: string
  profileUid: string
  value: string
}

/** `PUT /v1/edge-mgmt/network/interfaces/{name}/config` (palette.md §2.7) */
export interface NetworkInterfaceConfig {
  type: 'dhcp' | 'static'
  ip?: string
  /** Netmask or prefix as the agent shows it. */
  subnet?: string
  gateway?: string
  nameservers?: string[]
  /** Bytes. */
  mtu?: number
  vlanID?: string
}
