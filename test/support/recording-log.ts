/** A log whose records a test can look at. */
import Logger from 'bunyan';

/** A log of all levels that adds its records to the list. */
export function recordingLog(records: object[]): Logger {
    const stream = { write: (record: object) => records.push(record) };
    return Logger.createLogger({ name: 'test', streams: [{ type: 'raw', level: 'trace', stream }] });
}
