/** What a configuration key is described by, and the kinds of values that several keys take. */
import { formatQuantity, type QuantityKind } from './quantity';

export interface KeySchema {
    type?: string | readonly string[];
    /** Completes the sentence "it must be …". */
    expected: string;
    /** For the operator's guide; a key without one is described by its parent. */
    description?: string;
    /** Known and checked, but without effect in this version. */
    reserved?: true;
    default?: unknown;
    properties?: Readonly<Record<string, KeySchema>>;
    required?: readonly string[];
    additionalProperties?: KeySchema;
    items?: KeySchema | readonly KeySchema[];
    enum?: readonly unknown[];
    not?: { const: unknown };
    pattern?: string;
    minLength?: number;
    minItems?: number;
    maxItems?: number;
    minimum?: number;
    maximum?: number;
    exclusiveMinimum?: number;
    /**
     * A time (ms) or size (bytes), also as a text with a unit; the limits are inclusive. `none` stands for values that
     * files written for the original may have, where they were without effect: `false` and objects are 0 then.
     */
    quantity?: { kind: QuantityKind; minimum: number; maximum: number; none?: true };
}

/** A text that is not empty. */
export const text = (expected: string, description?: string): KeySchema => ({
    type: 'string',
    minLength: 1,
    expected,
    ...(description !== undefined && { description }),
});

/** A text that setup templates may leave empty. */
export const optionalText = (expected: string, description: string): KeySchema => ({
    type: 'string',
    expected,
    description,
});

export const flag = (description: string, value?: boolean): KeySchema => ({
    type: 'boolean',
    expected: 'true or false',
    description,
    ...(value !== undefined && { default: value }),
});

export const oneOf = (values: readonly string[], description?: string): KeySchema => ({
    enum: values,
    expected: `one of ${values.map((value) => `"${value}"`).join(', ')}`,
    ...(description !== undefined && { description }),
});

/** A key without effect in this version. */
export const reserved = (schema: KeySchema): KeySchema => ({ ...schema, reserved: true });

/** In ms. */
export const DAY = 86_400_000;

/** A time; in the configuration that counts it is a number of ms. */
export const time = (
    milliseconds: number | undefined,
    description: string,
    least = 10,
    most = DAY,
): KeySchema => ({
    expected:
        `a time from ${formatQuantity('time', least)} to ${formatQuantity('time', most)}: ` +
        'a number of ms, or a text with a unit such as "500ms", "10s" or "3m"',
    description,
    ...(milliseconds !== undefined && { default: milliseconds }),
    quantity: { kind: 'time', minimum: least, maximum: most },
});

/** A whole number, from 1 on unless less makes sense. */
export const count = (value: number, most: number, description: string, least = 1): KeySchema => ({
    type: 'integer',
    minimum: least,
    maximum: most,
    expected: `a whole number from ${least} to ${most}`,
    description,
    default: value,
});

/** A time where 0 means never. */
export const timeOrNever = (milliseconds: number | undefined, description: string, most = DAY): KeySchema => {
    const schema = time(milliseconds, description, 0, most);
    return { ...schema, expected: schema.expected.replace('0ms', '0 (never)') };
};

/** A size; in the configuration that counts it is a number of bytes. */
export const size = (bytes: number, most: number, description: string, least = 1024): KeySchema => ({
    expected:
        `a size from ${formatQuantity('size', least)} to ${formatQuantity('size', most)}: a number of bytes, ` +
        `or a text with a unit such as ${least < 1024 ** 2 ? '"512KiB" or "1MiB"' : '"16MiB"'}`,
    description,
    default: bytes,
    quantity: { kind: 'size', minimum: least, maximum: most },
});

/** The block of a service of the datacenter. */
export const urlBlock = (service: string): KeySchema => ({
    type: 'object',
    expected: 'an object with "url"',
    properties: { url: optionalText('a URL', `URL of ${service}.`) },
});

export const port = (description: string): KeySchema => ({
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    expected: 'a whole number from 0 to 65535',
    description,
});
