// What parts and meters say of themselves comes from the service in English. Its fixed sentences have their Chinese here,
// the most particular first; what has none is shown as the English detail that it is.
import { currentLanguage } from "./i18n.js";

const sentences = {
  zh: [
    [/^held by (?:process )?(.+?): .*$/, "端口被进程 $1 占用，等待释放；请停止其中一个程序"],
    [/^no connection to (.+?) within ([\d.]+) s; .*$/, "$2 秒内未能连接 $1；请检查地址、网络和防火墙"],
    [/^no connection to (.+?): (.+?); .*$/, "无法连接 $1（$2）；请检查设备是否上电、端口是否正确"],
    [/^no TLS with (.+?): .*$/, "与 $1 的 TLS 握手失败；请检查该端口是否支持 TLS 以及证书"],
    [/^the certificate of (.+?) is refused: .*$/, "$1 的证书校验失败；请检查 ca_file 和证书有效期"],
    [/^serial port (.+?) does not open: .*$/, "串口 $1 打不开；请检查设备、权限及是否被占用"],
    [/^the connection to (.+?) was closed from there.*$/, "$1 断开了连接，正在重连"],
    [/^(.+?) is connected, but nothing on it answers any more.*$/, "$1 已连接，但无设备应答，正在重连"],
    [/^its endpoint (.+?) does not answer$/, "所在端口 $1 无应答"],
    [/^(.+?) at (.+?): expected .+?, got no answer.*$/, "$1（$2）无应答；请检查电源、接线和地址"],
    [/^(.+?) at (.+?): expected (.+?), got (.+?); .*$/, "$1（$2）应答不符：应为 $3，实为 $4"],
    [/^(.+?) at (.+?) answers, but (\d+) of (\d+) values .*$/, "$1（$2）有应答，但 $4 个值中 $3 个缺失或越限；请检查单元号、设备模板和字序"],
    [/^refuses (.+?)(?: and leaves unanswered .+?)?, so (.+?) is missing; .*$/, "设备拒绝读取 $1，缺少 $2；请核对设备模板与固件"],
    [/^leaves unanswered (.+?), so (.+?) is missing; .*$/, "设备对 $1 不应答，缺少 $2；请核对设备模板与固件"],
    [/^nothing on (.+?) since (.+?); .*$/, "主题 $1 自 $2 起无消息；请检查设备及其主题"],
    [/^its edge node says that it is offline.*$/, "边缘节点报告设备离线"],
    [/^messages wait at the broker: .*$/, "消息在代理处等待"],
    [/^polling waits: .*$/, "采集等待中：本地缓存暂不能写入"],
    [/^its clock was never set: .*$/, "设备时钟从未校准；请设置设备时钟"],
  ],
};

export function detail(text) {
  const forms = sentences[currentLanguage()];
  if (!forms || !text) return text;
  const form = forms.find(([pattern]) => pattern.test(text));
  return form ? text.replace(...form) : `英文详情：${text}`;
}
