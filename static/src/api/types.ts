// The names that pages use for what the API answers; the shapes are made from its own
// description, in schema.d.ts.
import type { components } from './schema';

type Schemas = components['schemas'];

export type Me = Schemas['Identity'];
export type User = Schemas['User'];
export type InstanceRole = User['instance_role'];
export type App = Schemas['App'];
export type Role = Schemas['Membership']['role'];
export type Member = Schemas['Membership'];
export type Domain = Schemas['Domain'];
export type Quotas = Schemas['Quotas'];
export type Limits = Schemas['Limits'];
export type Script = Schemas['Script'];
export type Version = Schemas['ScriptVersion'];
export type Route = Schemas['Route'];
export type RouteMatch = Schemas['MatchAnswer'];
export type Trigger = Schemas['Trigger'];
export type Row = Schemas['Row'];
export type DeadLetter = Schemas['DeadLetter'];
export type Attempt = Schemas['Attempt'];
export type Execution = Schemas['Execution'];
export type Status = Execution['status'];
/** A node of a cause chain: an execution, and what it caused. */
export type ChainNode = Schemas['Link'];
export type LogLine = Schemas['LogLine'];
export type Trace = Schemas['Trace'];
export type Collection = Schemas['Collection'];
export type Item = Schemas['Item'];
export type Entry = Schemas['Record'];
export type Key = Schemas['Key'];
export type LoginSession = Schemas['Session'];
export type AuditEntry = Schemas['AuditEntry'];
export type System = Schemas['System'];
export type Secret = Schemas['Secret'];
export type Topic = Schemas['Topic'];
export type Queue = Schemas['Queue'];
export type QueueMessage = Schemas['QueueMessage'];
export type OutboundRules = Schemas['OutboundRules'];
export type Deployment = Schemas['Deployment'];
/** What a deployment or a rollback changes. */
export type Outcome = Schemas['Outcome'];
