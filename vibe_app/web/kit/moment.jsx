// Times that the reader's own clock and zone decide: how long ago, and for how long by now.
import { useEffect, useState } from "react";

const words = (seconds) => {
  if (seconds < 45) return "just now";
  const steps = [
    [3600, 60, "min"],
    [86400, 3600, "h"],
    [86400 * 14, 86400, "d"],
  ];
  for (const [limit, unit, name] of steps) {
    if (seconds < limit) return `${Math.max(1, Math.round(seconds / unit))} ${name} ago`;
  }
  return null;
};

const spent = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${s} s` : `${s} s`;
};

// The present, looked at again every `every` milliseconds; null until the page is live.
function useNow(every) {
  const [now, setNow] = useState(null);
  useEffect(() => {
    const look = () => setNow(Date.now());
    look();
    const timer = window.setInterval(look, every);
    return () => window.clearInterval(timer);
  }, [every]);
  return now;
}

export function Ago({ at }) {
  const now = useNow(30000);
  if (!at) return <span>–</span>;
  const moment = new Date(at);
  if (now === null) return <time dateTime={moment.toISOString()} />;
  const short = moment.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
  return (
    <time dateTime={moment.toISOString()} title={moment.toLocaleString()}>
      {words((now - at) / 1000) ?? short}
    </time>
  );
}

export function Elapsed({ since, coarse }) {
  const now = useNow(1000);
  const words = now === null || !since ? "" : spent((now - since) / 1000);
  return <span className="v-digits">{coarse ? words.replace(/ min \d+ s$/, " min") : words}</span>;
}
