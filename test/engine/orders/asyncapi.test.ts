import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import {
  decodeOrderEvent,
  EVENT_CONTENT_TYPE,
  EVENT_STATUSES,
  EventRecord,
  toCloudEvent,
} from '../../../engine/orders/order-event';
import {
  decodeReturnEvent,
  DisputeRecord,
  RefundRecord,
  RETURN_TYPES,
} from '../../../engine/orders/return-event';
import type { OrderId } from '../../../engine/orders/order';
import { anOrder } from '../../support/purchases';

const FILE = join(__dirname, '..', '..', '..', 'docs', 'order-events.asyncapi.yaml');
const text = readFileSync(FILE, 'utf8');
type Node = Record<string, unknown>;
const document = parse(text) as Node & {
  asyncapi: string;
  components: {
    messages: Record<
      'orderEvent' | 'refundEvent' | 'disputeEvent',
      { contentType: string; examples: { payload: unknown }[] }
    >;
    schemas: Record<'OrderEvent' | 'RefundEvent' | 'DisputeEvent', Node>;
  };
};

/** What is at a reference within the document. */
function at(reference: string): unknown {
  return reference
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>((node, key) => (node as Node | undefined)?.[key], document);
}

/** Without words, with references resolved, and unions of texts and null as JSON Schema writes them. */
function plain(schema: Node): unknown {
  const { $ref, anyOf, properties, required, ...rest } = schema;
  delete rest['description'];
  if (typeof $ref === 'string') return plain(at($ref) as Node);
  if (Array.isArray(anyOf)) return union(anyOf.map((one) => plain(one as Node) as Node));
  return {
    ...rest,
    ...(Array.isArray(required) && { required: [...(required as string[])].sort() }),
    ...(properties !== undefined && {
      properties: Object.fromEntries(
        Object.entries(properties as Node).map(([name, one]) => [name, plain(one as Node)]),
      ),
    }),
  };
}

function union(members: Node[]): Node {
  const last = members.at(-1);
  if (last?.['type'] === 'null') {
    const inner = union(members.slice(0, -1));
    const values = inner['enum'];
    return {
      ...inner,
      type: [inner['type'], 'null'],
      ...(Array.isArray(values) && { enum: [...(values as unknown[]), null] }),
    };
  }
  const [first = {}] = members;
  if (members.length === 1) return first;
  return { type: 'string', enum: members.map((one) => one['const']) };
}

test('the schema of the document is the one that events are read by', () => {
  const documented = plain(document.components.schemas.OrderEvent) as { properties: Node };
  const { type } = documented.properties;
  const order = { ...anOrder(), orderId: 'ord-1' as OrderId };
  const types = EVENT_STATUSES.map(
    (status) => toCloudEvent({ order, revision: 1, at: 1, generation: 1, status }).type,
  );
  expect(type).toEqual({ type: 'string', enum: types });
  // The engine compares a type with the status.
  documented.properties['type'] = { type: 'string' };
  expect(documented).toEqual(plain(JSON.parse(JSON.stringify(EventRecord)) as Node));
});

test.each([
  ['RefundEvent', RefundRecord, 'refundEvent', RETURN_TYPES.refund],
  ['DisputeEvent', DisputeRecord, 'disputeEvent', RETURN_TYPES.dispute],
] as const)('so is %s, and its example is one', (name, record, message, type) => {
  const documented = plain(document.components.schemas[name]) as { properties: Node };
  expect(documented.properties['type']).toEqual({ type: 'string', enum: [type] });
  // The engine finds the schema by the type.
  documented.properties['type'] = { type: 'string' };
  expect(documented).toEqual(plain(JSON.parse(JSON.stringify(record)) as Node));
  const { contentType, examples } = document.components.messages[message];
  expect(contentType).toBe(EVENT_CONTENT_TYPE);
  for (const { payload } of examples) {
    expect(decodeReturnEvent(Buffer.from(JSON.stringify(payload)))).toMatchObject({
      kind: 'event',
    });
  }
});

test('its examples are events', () => {
  const { contentType, examples } = document.components.messages.orderEvent;
  expect(contentType).toBe(EVENT_CONTENT_TYPE);
  expect(examples).toHaveLength(2);
  for (const { payload } of examples) {
    expect(decodeOrderEvent(Buffer.from(JSON.stringify(payload)))).toMatchObject({ kind: 'event' });
  }
});

test('it is AsyncAPI 3.0, and all its references lead somewhere', () => {
  expect(document.asyncapi).toBe('3.0.0');
  const references = [...text.matchAll(/\$ref: '([^']+)'/g)].map(([, reference = '']) => reference);
  expect(references.length).toBeGreaterThan(5);
  for (const reference of references) expect([reference, at(reference)]).not.toContain(undefined);
});
