/** What lib/db/driver.ts promises, for any driver: each runs `describeDatabase` from its own test file. */
import assert from 'node:assert/strict';
import type { Database } from '../../lib/db/driver';
import { describeCoordination } from './db-coordination';
import { describeImages } from './db-images';
import { describePending } from './db-pending';
import { describeProcesses } from './db-processes';
import { describeQueries } from './db-queries';

/** A database of one driver, empty at first. */
export interface DatabaseFixture {
    /** Opens it; every call gives a connection of its own. */
    open(): Promise<Database>;
    /** A module whose `open(place)` opens the same database in another process. */
    readonly opener: { module: string; place: string };
    /** Deletes it. */
    remove(): Promise<void>;
}

export type MakeFixture = () => Promise<DatabaseFixture>;

/** The database under test, made before each test of the enclosing group and removed after it. */
export interface Subject {
    readonly database: Database;
    readonly fixture: DatabaseFixture;
    /** Another connection to the same database, closed after the test. */
    another(): Promise<Database>;
}

function useDatabase(make: MakeFixture): Subject {
    let fixture: DatabaseFixture;
    let opened: Database[] = [];
    const another = async () => {
        const database = await fixture.open();
        opened.push(database);
        return database;
    };
    beforeEach(async () => {
        fixture = await make();
        await another();
    });
    afterEach(async () => {
        for (const database of opened) {
            await database.close();
        }
        opened = [];
        await fixture.remove();
    });
    return {
        get database() {
            const [first] = opened;
            assert.ok(first);
            return first;
        },
        get fixture() {
            return fixture;
        },
        another,
    };
}

export function describeDatabase(name: string, make: MakeFixture): void {
    describe(`database driver ${name}`, () => {
        const subject = useDatabase(make);
        describeImages(subject);
        describeQueries(subject);
        describePending(subject);
        describeCoordination(subject);
        describeProcesses(subject);
    });
}
