// Numbers and times as the page writes them. A missing value is an en dash, never 0 and never an old value.
import { currentLanguage, t, unitName } from "./i18n.js";

export const NONE = "–";
const formats = new Map();

export function number(value, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (!formats.has(digits)) {
    formats.set(digits, new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  const text = formats.get(digits).format(value);
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", ""); // a rounded zero has no sign
}

// Energies and powers of a smelter span kW to GWh: one unit a figure, chosen by its size.
const SCALES = {
  kW: [["GW", 1e6], ["MW", 1e3], ["kW", 1]], kWh: [["GWh", 1e6], ["MWh", 1e3], ["kWh", 1]], yuan: [["million yuan", 1e6], ["yuan", 1]],
};

export function scaled(value, unit) {
  const [name, factor] = SCALES[unit].find(([, f]) => Math.abs(value) >= f) || SCALES[unit].at(-1);
  return { text: number(value / factor, factor === 1 ? 0 : 1), unit: unitName(name) };
}

const DIGITS = { "%": 1, "kWh/t": 0, "kgce/t": 0, "tCO2e/t": 3, Hz: 3, V: 3, "yuan/kWh": 4, whole: 0, MWh: 0, min: 0, t: 1, "1": 2 };

export function quantity(value, unit) {
  if (value === null || value === undefined) return { text: NONE, unit: "" };
  if (unit in SCALES) return scaled(value, unit);
  return { text: number(value, DIGITS[unit] ?? 1), unit: unitName(unit) };
}

export const percent = (share) => (share === null || share === undefined ? NONE : `${number(100 * share, 1)} %`);

export function age(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const whole = Math.max(0, seconds);
  if (whole < 120) return `${number(whole, whole < 10 ? 1 : 0)} ${t("unit_age_s")}`;
  if (whole < 7200) return `${number(whole / 60)} ${t("unit_age_min")}`;
  return `${number(whole / 3600, 1)} ${t("unit_age_h")}`;
}

export function clock(ms, zone, withDate = true) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone };
  if (withDate) Object.assign(options, { year: "numeric", month: "2-digit", day: "2-digit", second: "2-digit" });
  return new Intl.DateTimeFormat(currentLanguage() === "zh" ? "zh-CN" : "en-CA", options).format(ms).replace(",", "");
}
