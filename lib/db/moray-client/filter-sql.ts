/**
 * Filters as conditions of SQL over a bucket's table (moray.md §2.6). Values are parameters, and names of columns come
 * from the bucket's description, where they were checked.
 */
import { columnType, scalarText } from './columns';
import { MorayError } from './errors';
import { fieldsOf } from './fields';
import { excerpt, invalid, type Filter, type Pattern, type RangeRule, type Term } from './filter';
import { internalAttribute, isComparedByDatabase } from './filter-match';
import { quoted } from './names';
import type { Bucket, IndexType } from './types';

/** A condition that holds for every object that meets the filter. */
export interface Condition {
    readonly sql: string;
    /** It holds for no others. */
    readonly isExact: boolean;
}

export interface Where extends Condition {
    readonly values: readonly unknown[];
}

/** What ranges are compared with, and how; the column is on the right. */
const RANGE_OPERATORS: Readonly<
    Record<
        RangeRule,
        Readonly<Partial<Record<IndexType, { readonly type: IndexType; readonly operator: string }>>>
    >
> = {
    overlaps: {
        numrange: { type: 'numrange', operator: '&&' },
        daterange: { type: 'daterange', operator: '&&' },
    },
    contains: {
        numrange: { type: 'number', operator: '<@' },
        daterange: { type: 'date', operator: '<@' },
        subnet: { type: 'ip', operator: '<<' },
        '[subnet]': { type: 'ip', operator: '<<' },
    },
    within: {
        number: { type: 'numrange', operator: '@>' },
        '[number]': { type: 'numrange', operator: '@>' },
        date: { type: 'daterange', operator: '@>' },
        '[date]': { type: 'daterange', operator: '@>' },
        ip: { type: 'subnet', operator: '>>' },
        '[ip]': { type: 'subnet', operator: '>>' },
    },
};
const OPERATORS = { equal: '=', ge: '<=', le: '>=' } as const;

/**
 * The condition for a filter. Terms that no column can answer are left out of it where it stays true for all objects
 * that meet the filter; they are to be decided in memory.
 *
 * @param text of the filter, for messages
 * @throws MorayError InvalidQueryError, NotIndexedError
 */
export function toWhere(filter: Filter, bucket: Bucket, text: string): Where {
    const compiler = new Compiler(bucket, text);
    const condition = compiler.compile(filter);
    if (!condition) {
        throw invalid(text, `has nothing that ${bucket.name} has an index for`);
    }
    return { ...condition, values: compiler.values };
}

export function notIndexed(bucket: Bucket, text: string): MorayError {
    return new MorayError(
        'NotIndexedError',
        `${bucket.name} does not have indexes that support ${excerpt(text)}`,
    );
}

interface Column {
    readonly name: string;
    readonly sql: string;
    readonly type: IndexType;
}

class Compiler {
    readonly values: unknown[] = [];

    constructor(
        private readonly bucket: Bucket,
        private readonly text: string,
    ) {}

    /** Undefined if no column has to do with it. */
    compile(filter: Filter): Condition | undefined {
        switch (filter.type) {
            case 'and':
                return this.conjunction(filter.filters);
            case 'or':
                return this.disjunction(filter.filters);
            case 'not':
                return this.negation(filter.filter);
            default: {
                const sql = this.term(filter);
                return sql === undefined ? undefined : { sql, isExact: true };
            }
        }
    }

    private conjunction(filters: readonly Filter[]): Condition {
        const conditions = filters.map((one) => this.compile(one));
        const known = conditions.filter((one) => one !== undefined);
        if (known.length === 0) {
            throw notIndexed(this.bucket, this.text);
        }
        return {
            sql: known.map(({ sql }) => `(${sql})`).join(' AND '),
            isExact: known.length === conditions.length && known.every(({ isExact }) => isExact),
        };
    }

    private disjunction(filters: readonly Filter[]): Condition {
        const known = filters.map((one) => this.compile(one)).filter((one) => one !== undefined);
        if (known.length < filters.length) {
            throw notIndexed(this.bucket, this.text);
        }
        return {
            sql: known.map(({ sql }) => `(${sql})`).join(' OR '),
            isExact: known.every(({ isExact }) => isExact),
        };
    }

    private negation(filter: Filter): Condition | undefined {
        const before = this.values.length;
        const condition = this.compile(filter);
        if (condition?.isExact) {
            return { sql: `NOT (${condition.sql})`, isExact: true };
        }
        // What is not exact holds for too many objects, so its opposite for too few: it can only be decided in memory.
        if (this.needsDatabase(filter)) {
            throw notIndexed(this.bucket, this.text);
        }
        this.values.length = before;
        return undefined;
    }

    /** Whether it has terms that cannot be decided in memory. */
    private needsDatabase(filter: Filter): boolean {
        switch (filter.type) {
            case 'and':
            case 'or':
                return filter.filters.some((one) => this.needsDatabase(one));
            case 'not':
                return this.needsDatabase(filter.filter);
            case 'overlaps':
            case 'contains':
            case 'within':
                return true;
            case 'equal':
            case 'ge':
            case 'le': {
                const column = this.column(filter.attribute);
                return column !== undefined && isComparedByDatabase(column.type);
            }
            default:
                return false;
        }
    }

    private column(attribute: string): Column | undefined {
        const field = fieldsOf(this.bucket).get(attribute);
        if (field) {
            const { name, column, type, exists, isReindexing } = field;
            return exists && !isReindexing ? { name, sql: quoted(column), type } : undefined;
        }
        const internal = internalAttribute(attribute);
        return internal && { name: attribute, sql: attribute, type: internal.type };
    }

    private term(term: Term): string | undefined {
        const column = this.column(term.attribute);
        if (term.type === 'overlaps' || term.type === 'contains' || term.type === 'within') {
            return this.inRange(term.type, term.value, column);
        }
        if (!column) {
            return undefined;
        }
        switch (term.type) {
            case 'present':
                return column.name === '_id' && this.bucket.hasExtendedId
                    ? '_id IS NOT NULL OR _idx IS NOT NULL'
                    : `${column.sql} IS NOT NULL`;
            case 'matches':
                return this.like(column, likePattern(term.pattern), term.ignoreCase);
            case 'equalIgnoringCase':
                return this.equalIgnoringCase(column, term.value);
            default:
                return this.comparison(column, OPERATORS[term.type], term.value);
        }
    }

    private comparison(column: Column, operator: string, value: string): string {
        if (column.name.startsWith('_') && column.type === 'number' && internalAttribute(column.name)) {
            return this.internalNumber(column, operator, value);
        }
        const { element, pg } = columnType(column.type);
        const text = this.checked(element ?? column.type, value);
        const parameter = this.bind(text);
        if (element && operator === '=') {
            return `${column.sql} @> ARRAY[${parameter}]::${pg} AND ${column.sql} IS NOT NULL`;
        }
        // Bytes decide the order of texts, whatever the database's language; equality is the same in all of them.
        const order = operator === '=' ? '' : this.collation(element ?? column.type);
        return element
            ? // A NULL among the elements must not make the answer NULL.
              `coalesce(${parameter} ${operator} ANY(${column.sql}${order}), false)`
            : `${parameter} ${operator} ${column.sql}${order} AND ${column.sql} IS NOT NULL`;
    }

    private internalNumber({ name, sql }: Column, operator: string, value: string): string {
        const number = this.checked('number', value);
        // As a BIGINT it finds its index; another number has no equal, but a place between the others.
        const type = Number.isSafeInteger(Number(number)) ? 'BIGINT' : 'NUMERIC';
        const one = (column: string): string =>
            `${this.bind(number)}::${type} ${operator} ${column} AND ${column} IS NOT NULL`;
        return name === '_id' && this.bucket.hasExtendedId ? `(${one(sql)}) OR (${one('_idx')})` : one(sql);
    }

    private like(column: Column, pattern: string, ignoreCase: boolean): string {
        if (columnType(column.type).element) {
            throw notIndexed(this.bucket, this.text);
        }
        if (column.type !== 'string') {
            throw invalid(this.text, `has wildcards for ${column.name}, which is of type ${column.type}`);
        }
        return `${column.sql} ${ignoreCase ? 'ILIKE' : 'LIKE'} ${this.bind(pattern)} AND ${column.sql} IS NOT NULL`;
    }

    private equalIgnoringCase(column: Column, value: string): string {
        if (column.type === '[string]') {
            const pattern = this.bind(escaped(value));
            return `EXISTS (SELECT 1 FROM unnest(${column.sql}) AS element WHERE element ILIKE ${pattern})`;
        }
        return this.like(column, escaped(value), true);
    }

    private inRange(rule: RangeRule, value: string, column: Column | undefined): string {
        if (!column) {
            throw notIndexed(this.bucket, this.text);
        }
        const known = RANGE_OPERATORS[rule][column.type];
        if (!known) {
            throw invalid(this.text, `asks for "${rule}" of ${column.name}, which is of type ${column.type}`);
        }
        const parameter = `${this.bind(this.checked(known.type, value))}::${columnType(known.type).pg}`;
        return columnType(column.type).element
            ? `coalesce(${parameter} ${known.operator} ANY(${column.sql}), false)`
            : `${parameter} ${known.operator} ${column.sql} AND ${column.sql} IS NOT NULL`;
    }

    private collation(type: IndexType): string {
        return type === 'string' && !this.bucket.sortsByBytes ? ' COLLATE "C"' : '';
    }

    private checked(type: IndexType, value: string): string {
        try {
            return scalarText(type, value);
        } catch (error) {
            throw invalid(
                this.text,
                `has the value "${excerpt(value)}", which is not of type ${type}`,
                error,
            );
        }
    }

    private bind(value: string): string {
        this.values.push(value);
        return `$${this.values.length}`;
    }
}

function likePattern({ initial, any, final }: Pattern): string {
    return [initial, ...any, final].map(escaped).join('%');
}

/** Backslash, percent and underscore stand for themselves. */
function escaped(text: string): string {
    return text.replace(/[\\%_]/g, '\\$&');
}
