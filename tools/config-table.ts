/** Prints the tables of configuration keys of docs/operator-guide.md; a test holds the page to them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatQuantity } from '../lib/config/quantity';
import type { KeySchema } from '../lib/config/key-schema';
import { configSchema } from '../lib/config/schema';

interface Row {
    key: string;
    schema: KeySchema;
    reserved: boolean;
}

function rowsOf(properties: Readonly<Record<string, KeySchema>>, prefix = '', inReserved = false): Row[] {
    return Object.entries(properties).flatMap(([name, schema]) => {
        const key = `${prefix}${name}`;
        const reserved = inReserved || schema.reserved === true;
        return schema.properties
            ? rowsOf(schema.properties, `${key}.`, reserved)
            : [{ key, schema, reserved }];
    });
}

/** A default list of more entries is not printed into its cell. */
const LONGEST_LIST = 5;

const defaultsFile = join(__dirname, '..', 'etc', 'defaults.json');

function tableOf(rows: readonly Row[]): string {
    const documented = JSON.parse(readFileSync(defaultsFile, 'utf8')) as Record<string, unknown>;
    const defaultOf = ({ key, schema }: Row): string => {
        const value = Object.hasOwn(documented, key) ? documented[key] : schema.default;
        if (value === undefined) {
            return '';
        }
        if (Array.isArray(value) && value.length > LONGEST_LIST) {
            return `${value.length} entries: \`node lib/config.js ${key}\``;
        }
        const shown =
            schema.quantity && typeof value === 'number'
                ? formatQuantity(schema.quantity.kind, value)
                : JSON.stringify(value);
        return `\`${shown}\``;
    };
    const lines = rows.map((row) => {
        const { key, schema } = row;
        return `| \`${key}\` | ${schema.expected} | ${defaultOf(row)} | ${schema.description ?? ''} |`;
    });
    return ['| key | value | default | meaning |', '|---|---|---|---|', ...lines].join('\n');
}

/** The keys with an effect, and those that are known and checked only. */
export function configTables(): { used: string; reserved: string } {
    const rows = rowsOf(configSchema.properties);
    return {
        used: tableOf(rows.filter(({ reserved }) => !reserved)),
        reserved: tableOf(rows.filter(({ reserved }) => reserved)),
    };
}

if (require.main === module) {
    const { used, reserved } = configTables();
    console.log(`${used}\n\n${reserved}`);
}
